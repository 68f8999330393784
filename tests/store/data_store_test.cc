#include "store/data_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <utime.h>

#include "store/prune.h"
#include "store_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DataStoreTest : public StoreTest {
 protected:
  DataAsset Register(const std::string &name, const std::string &source) {
    DataAsset asset;
    asset.name = name;
    asset.source = source;
    return store().data().RegisterAsset(asset);
  }
  std::string message_;
};

TEST_F(DataStoreTest, VersionsCountUpAndAreNeverReused) {
  EXPECT_EQ(Register("set", "/a").version, 1);
  EXPECT_EQ(Register("set", "/b").version, 2);
  EXPECT_EQ(store().data().Asset("set").source, "/b");
  EXPECT_EQ(store().data().Asset("set", 1).source, "/a");
  store().data().DeleteAsset("set", 2);
  EXPECT_EQ(StatusOf([&] { store().data().DeleteAsset("set", 2); }), Status::kNotFound);
  EXPECT_EQ(Register("set", "/c").version, 3);
  Register("another", "/d");
  Reopen();
  EXPECT_THAT(store().data().AssetVersions("set"), ElementsAre(1, 3));
  EXPECT_THAT(store().data().Assets(), ElementsAre("another", "set"));
  EXPECT_EQ(StatusOf([&] { store().data().Asset("set", 2); }, &message_), Status::kNotFound);
  EXPECT_THAT(message_, HasSubstr("the latest version is 3"));
  EXPECT_EQ(StatusOf([&] { store().data().Asset("sett"); }, &message_), Status::kNotFound);
  EXPECT_THAT(message_, HasSubstr("did you mean 'set'?"));
}

TEST_F(DataStoreTest, ReferencesLeadToPathsAndUrls) {
  DataStore &data = store().data();
  data.RegisterDatastore("images", "/data/images");
  EXPECT_EQ(data.Locate(DataReference::Parse("azureml://datastores/images/paths/a/b")).path, "/data/images/a/b");
  EXPECT_EQ(data.Locate(DataReference::Parse("azureml://datastores/images/paths/")).path, "/data/images");
  Register("set", "azureml://datastores/images/paths/train");
  EXPECT_EQ(data.Locate(DataReference::Parse("azureml:set@latest")).path, "/data/images/train");
  Register("set", "https://host/a.zip#" + std::string(64, 'a'));
  const DataReference place = data.Locate(DataReference::Parse("set:2"));
  EXPECT_EQ(place.kind, DataReference::Kind::kUrl);
  EXPECT_EQ(place.url, "https://host/a.zip");
  EXPECT_EQ(place.sha256, std::string(64, 'a'));
  EXPECT_EQ(data.Locate(DataReference::Parse("/plain")).path, "/plain");
  EXPECT_EQ(StatusOf([&] { data.Locate(DataReference::Parse("azureml://datastores/image/paths/")); }, &message_),
            Status::kNotFound);
  EXPECT_THAT(message_, testing::AllOf(HasSubstr("did you mean 'images'?"), HasSubstr("ty_datastore_register")));
}

TEST_F(DataStoreTest, PruningTakesWhatNobodyHasFetchedForLong) {
  const auto make = [&](const std::string &path, int64_t used_s) {
    MakeDirs(ParentPath(path));
    WriteFileAtomic(path, "x");
    WriteFileAtomic(path + ".lock", "");
    const utimbuf time = {used_s, used_s};
    ASSERT_EQ(utime((path + ".lock").c_str(), &time), 0);
  };
  const Layout &layout = store().layout();
  make(layout.Downloads() + "/old", 1000);
  make(layout.Downloads() + "/used", 1000);
  make(layout.Unpacked() + "/new", time(nullptr));
  const UniqueFd user = OpenFile(layout.Downloads() + "/used.lock", O_RDWR);
  ASSERT_EQ(flock(user.get(), LOCK_SH), 0);
  PruneRequest request;
  Prune(&store(), request);
  EXPECT_TRUE(PathExists(layout.Downloads() + "/old"));
  request.dry_run = false;
  Prune(&store(), request);
  EXPECT_FALSE(PathExists(layout.Downloads() + "/old"));
  EXPECT_TRUE(PathExists(layout.Downloads() + "/used"));
  EXPECT_TRUE(PathExists(layout.Unpacked() + "/new"));
}

}  // namespace
}  // namespace trainyard
