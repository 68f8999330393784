// Manifests: what is read, and what is refused with the line and the column. Single-threaded.
#include "engine_torch/image/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "engine_torch/image/csv.h"
#include "engine_torch/image/test_directory.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Manifest Csv(std::string_view text, const ManifestLimits &limits = {}) {
  return ParseManifest(text, ManifestFormat::kCsv, "/d/list.csv", limits);
}

Manifest Lines(std::string_view text, const ManifestLimits &limits = {}) {
  return ParseManifest(text, ManifestFormat::kJsonLines, "/d/list.jsonl", limits);
}

template <typename Body>
std::string ErrorOf(Body body) {
  try {
    body();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::vector<std::vector<std::string>> Records(std::string_view text) {
  CsvReader reader(text, "t");
  std::vector<std::vector<std::string>> records;
  for (std::vector<std::string> fields; reader.Next(&fields);) records.push_back(fields);
  return records;
}

TEST(CsvTest, ReadsWhatTheStandardAllows) {
  EXPECT_THAT(Records(""), IsEmpty());
  EXPECT_THAT(Records("a,b\r\nc,d\r\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_THAT(Records("a,b\n\n\r\nc,d"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_THAT(Records(",\n,x,"), ElementsAre(ElementsAre("", ""), ElementsAre("", "x", "")));
  EXPECT_THAT(Records("\"a,\"\"b\"\"\r\nc\",\"\"\n"), ElementsAre(ElementsAre("a,\"b\"\r\nc", "")));
  EXPECT_THAT(Records("\" a\", b \n"), ElementsAre(ElementsAre(" a", " b ")));
}

TEST(CsvTest, RefusesTheRestWithItsPlace) {
  EXPECT_THAT(ErrorOf([] { Records("a\n\"b"); }), HasSubstr("opened in line 2 is never closed"));
  EXPECT_THAT(ErrorOf([] { Records("x,a\"b\n"); }), HasSubstr("t:1:4: a field with a quote in it"));
  EXPECT_THAT(ErrorOf([] { Records("\n\"a\"b\n"); }), HasSubstr("t:2:4: after a closing quote"));
  EXPECT_THAT(ErrorOf([] { Records("a\rb\n"); }), HasSubstr("t:1:2: a carriage return"));
  EXPECT_THAT(ErrorOf([] { Records(std::string(2000, ',')); }), HasSubstr("more than 1000 fields"));
  EXPECT_THAT(ErrorOf([] { Records("\"" + std::string(3 << 20, 'x')); }), HasSubstr("closing quote missing"));
  EXPECT_THAT(ErrorOf([] { Records(std::string(3 << 20, 'x')); }), HasSubstr("longer than 1048576 bytes"));
}

TEST(ManifestTest, ReadsCsv) {
  const Manifest manifest =
      Csv("\xEF\xBB\xBFWeight,path,Label,split,author\r\n"
          "2.5,a/1.jpg,ants,train,x\r\n"
          ",/abs/2.jpg,\"bees, wild\",VAL,y\r\n"
          "0,../3.jpg,,validation,\n"
          "1,4.jpg,ants;bees,test,");
  ASSERT_THAT(manifest.rows, SizeIs(4));
  EXPECT_EQ(manifest.rows[0].path, "/d/a/1.jpg");
  EXPECT_EQ(manifest.rows[1].path, "/abs/2.jpg");
  EXPECT_EQ(manifest.rows[2].path, "/d/../3.jpg");
  EXPECT_THAT(manifest.rows[1].labels, ElementsAre("bees, wild"));
  EXPECT_THAT(manifest.rows[3].labels, ElementsAre("ants;bees"));
  EXPECT_FALSE(manifest.rows[3].listed);
  EXPECT_EQ(manifest.rows[0].weight, 2.5);
  EXPECT_EQ(manifest.rows[1].weight, 1);
  EXPECT_EQ(manifest.rows[0].split, Split::kTrain);
  EXPECT_EQ(manifest.rows[1].split, Split::kValidation);
  EXPECT_EQ(manifest.rows[2].split, Split::kValidation);
  EXPECT_EQ(manifest.rows[3].split, Split::kTest);
  EXPECT_TRUE(manifest.has_splits && manifest.has_weights);
  EXPECT_THAT(manifest.notes, ElementsAre(HasSubstr("column 'author' is ignored")));
  EXPECT_EQ(PlaceOf(manifest, manifest.rows[3]), "/d/list.csv:5");
}

TEST(ManifestTest, ReadsJsonLines) {
  const Manifest manifest = Lines(
      "\xEF\xBB\xBF{\"path\":\"1.jpg\",\"labels\":[\"a;b\",\"c\"],\"split\":\"train\",\"extra\":{}}\n"
      "\n"
      "{\"path\":\"2.jpg\",\"label\":-2.5,\"split\":\"val\",\"weight\":null}\r\n"
      "{\"path\":\"3.jpg\",\"label\":\"x;y\",\"split\":\"train\",\"extra\":1}");
  ASSERT_THAT(manifest.rows, SizeIs(3));
  EXPECT_THAT(manifest.rows[0].labels, ElementsAre("a;b", "c"));
  EXPECT_TRUE(manifest.rows[0].listed);
  EXPECT_THAT(manifest.rows[1].labels, ElementsAre("-2.5"));
  EXPECT_THAT(manifest.rows[2].labels, ElementsAre("x;y"));
  EXPECT_EQ(manifest.rows[1].line, 3u);
  EXPECT_FALSE(manifest.has_weights);
  EXPECT_THAT(manifest.notes, ElementsAre(HasSubstr("'extra' is ignored")));
}

TEST(ManifestTest, ErrorsNameTheLineAndTheColumn) {
  struct Case {
    const char *text, *message;
  };
  for (const Case &one : {
           Case{"", "'/d/list.csv' names no image"},
           Case{"path,label\n", "names no image"},
           Case{"file,label\na,b\n", "/d/list.csv:1: column 'path' is missing"},
           Case{"path;label\na;b\n", "with commas between them"},
           Case{"path,label,labels\na,b,c\n", "column 'label' is there twice"},
           Case{"path,label\na,b,c\n", "/d/list.csv:2: it has 3 fields"},
           Case{"path,label\n,b\n", "/d/list.csv:2: column 'path' is empty"},
           Case{"path,label\nhttps://h/a.jpg,b\n", "column 'path' is a URL"},
           Case{"path,label\na,b\n./b,c\na,c\n", "/d/list.csv:4: column 'path' names '/d/a' again, after line 2"},
           Case{"path,label\nx/a,b\nx//./y/../a,c\n", "names '/d/x//./y/../a' again, after line 2"},
           Case{"path,label\nx/a,b\n/d/x/a,c\n", ":3: column 'path' names '/d/x/a' again"},
           Case{"path,label\na,b\n \n", ":3: it has 1 fields"},
           Case{"path,label\n\"a,b\nc,d\n", "the quote that was opened in line 2 is never closed"},
           Case{"path,label,split\na,b,trian\n",
                ":2: column 'split' must be train, val, validation or test, got 'trian'"},
           Case{"path,label,split\na,b,train\nc,d,\n", ":3: column 'split' is missing"},
           Case{"path,label,split\na,b,\nc,d,val\n", ":3: column 'split' is given"},
           Case{"path,label,weight\na,b,much\n", ":2: column 'weight' must be a number, got 'much'"},
           Case{"path,label,weight\na,b,-1\n", "column 'weight' must be a finite number of 0 or more, got -1"},
           Case{"path,label,weight\na,b,Infinity\n", "got Infinity"},
           Case{"path,label\na,b\nc,\xff\n", "/d/list.csv:3: it is no UTF-8"},
       }) {
    EXPECT_THAT(ErrorOf([&] { Csv(one.text); }), HasSubstr(one.message)) << one.text;
  }
  for (const Case &one : {
           Case{"\n \n", "'/d/list.jsonl' names no image"},
           Case{"{\"path\":\"a\",\"label\":\"b\"}\n{\"path\":}\n", "/d/list.jsonl:2:9: "},
           Case{"[]\n", "/d/list.jsonl:1: it must be an object"},
           Case{"{\"label\":\"b\"}\n", ":1: column 'path' is missing"},
           Case{"{\"path\":1,\"label\":\"b\"}\n", ":1: column 'path' must be a string"},
           Case{"{\"path\":\"a\",\"label\":[1]}\n", ":1: column 'label' must be a list of strings"},
           Case{"{\"path\":\"a\",\"label\":true}\n", "column 'label' must be a string, a number or a list"},
           Case{"{\"path\":\"a\",\"label\":\"b\",\"weight\":\"2\"}\n", "column 'weight' must be a number"},
           Case{"{\"path\":\"a\",\"label\":\"b\",\"split\":\"dev\"}\n", "column 'split' must be"},
           Case{"{\"path\":\"a\",\"label\":\"b\",\"labels\":[]}\n", "column 'label' is there twice"},
       }) {
    EXPECT_THAT(ErrorOf([&] { Lines(one.text); }), HasSubstr(one.message)) << one.text;
  }
}

TEST(ManifestTest, IsBounded) {
  const ManifestLimits limits = {.row_bytes = 40, .rows = 2};
  EXPECT_THAT(ErrorOf([&] { Csv("path,label\na,b\nc,d\ne,f\n", limits); }), HasSubstr(":4: more than 2 rows"));
  EXPECT_THAT(ErrorOf([&] { Csv("path,label\n" + std::string(50, 'x') + ",b\n", limits); }),
              HasSubstr("longer than 40 bytes"));
  EXPECT_THAT(ErrorOf([&] { Lines("{\"path\":\"" + std::string(50, 'x') + "\",\"label\":\"b\"}\n", limits); }),
              HasSubstr("/d/list.jsonl:1: it is longer than 40 bytes"));
}

TEST(ManifestTest, TheFilesNameTellsTheFormat) {
  TestDirectory directory;
  const Manifest csv = ReadManifest(directory.Write("a.csv", "path,label\nx.jpg,y\n"));
  EXPECT_EQ(csv.rows[0].path, directory.path() + "/x.jpg");
  EXPECT_THAT(ReadManifest(directory.Write("a.JSONL", R"({"path":"x.jpg","label":"y"})")).rows, SizeIs(1));
  EXPECT_THAT(ErrorOf([&] { ReadManifest(directory.path()); }), HasSubstr("is a directory"));
  ASSERT_EQ(mkfifo((directory.path() + "/pipe.csv").c_str(), 0600), 0);
  EXPECT_THAT(ErrorOf([&] { ReadManifest(directory.path() + "/pipe.csv"); }), HasSubstr("is no regular file"));
  try {
    ReadManifest(directory.path() + "/none.csv");
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("none.csv"));
  }
}

}  // namespace
}  // namespace trainyard::image
