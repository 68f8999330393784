#include "engine_torch/image/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine_torch/image/test_directory.h"
#include "engine_torch/image/test_images.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string MessageOf(Status status, const std::string &root) {
  try {
    ReadImageFolder(root);
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), status);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(ImageFolderTest, FollowsTorchvisionsOrder) {
  TestDirectory directory;
  for (const char *name :
       {"b/2.JPG", "b/1.png", "b/z/0.webp", "b/a-b/9.tiff", "b/a/5.jpeg", "B/x.bmp", "b/notes.txt", "loose.jpg"}) {
    directory.Write(name, "x");
  }
  ImageFolder folder = ReadImageFolder(directory.path() + "/");
  EXPECT_THAT(folder.classes, ElementsAre("B", "b"));
  std::vector<std::string> names;
  for (const Sample &sample : folder.samples) {
    names.push_back(sample.path.substr(directory.path().size() + 1) + "=" + std::to_string(sample.label));
  }
  // As sorted(os.walk()): the folder itself, then sub-folders by path, in which '-' comes before '/'.
  EXPECT_THAT(names,
              ElementsAre("B/x.bmp=0", "b/1.png=1", "b/2.JPG=1", "b/a/5.jpeg=1", "b/a-b/9.tiff=1", "b/z/0.webp=1"));
}

TEST(ImageFolderTest, FollowsLinksButNotForEver) {
  TestDirectory directory;
  directory.Write("elsewhere/a.jpg", "x");
  directory.Write("root/ants/b.jpg", "x");
  std::filesystem::create_directory_symlink(directory.path() + "/elsewhere", directory.path() + "/root/bees");
  EXPECT_THAT(ReadImageFolder(directory.path() + "/root").classes, ElementsAre("ants", "bees"));
  std::filesystem::create_directory_symlink(directory.path() + "/root/ants", directory.path() + "/root/ants/again");
  EXPECT_THAT(MessageOf(Status::kInvalidArgument, directory.path() + "/root"), HasSubstr("again"));
}

TEST(ImageFolderTest, ErrorsNameTheFolder) {
  TestDirectory directory;
  EXPECT_THAT(MessageOf(Status::kNotFound, directory.path() + "/absent"), HasSubstr("absent"));
  EXPECT_THAT(MessageOf(Status::kNotFound, directory.path()), HasSubstr("no class folder"));
  directory.Write("ants/a.jpg", "x");
  directory.Write("bees/a.txt", "x");
  directory.Write("wasps/sub/a.gif", "x");
  std::string message = MessageOf(Status::kNotFound, directory.path());
  EXPECT_THAT(message, HasSubstr("bees, wasps"));
  EXPECT_THAT(message, HasSubstr(".jpg .jpeg .png"));
}

TEST(CheckImagesTest, FindsBadFiles) {
  TestDirectory directory;
  std::string good = MakeJpeg(40, 30, {});
  std::string damaged = good;
  damaged.replace(damaged.size() / 2, 2, "\xff\xd9");
  std::vector<Sample> samples = {{directory.Write("0.jpg", good), 0},
                                 {directory.Write("1.jpg", good.substr(0, good.size() - 40)), 0},
                                 {directory.Write("2.jpg", MakePng(9, 9, PNG_COLOR_TYPE_RGB, 8, false)), 0},
                                 {directory.Write("3.jpg", "GIF89a"), 0},
                                 {directory.path() + "/absent.jpg", 0},
                                 {directory.Write("5.jpg", damaged), 0}};
  size_t last = 0;
  std::vector<BadImage> bad = CheckImages(samples, 3, [&](size_t done, size_t total) {
    EXPECT_EQ(total, samples.size());
    EXPECT_EQ(done, last + 1);
    last = done;
    return true;
  });
  EXPECT_EQ(last, samples.size());
  ASSERT_EQ(bad.size(), 4u);
  EXPECT_EQ(bad[0].index, 1u);
  EXPECT_THAT(bad[0].reason, HasSubstr("truncated"));
  EXPECT_THAT(bad[1].reason, HasSubstr("GIF"));
  EXPECT_THAT(bad[2].reason, HasSubstr("absent.jpg"));
  EXPECT_TRUE(bad[2].fatal);
  EXPECT_FALSE(bad[3].fatal);
}

TEST(CheckImagesTest, StopsWhenAsked) {
  TestDirectory directory;
  std::vector<Sample> samples(50, {directory.Write("0.jpg", "bad"), 0});
  EXPECT_EQ(CheckImages(samples, 1, [](size_t done, size_t) { return done < 3; }).size(), 3u);
}

}  // namespace
}  // namespace trainyard::image
