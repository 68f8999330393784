// What is known of a job before it starts: programs, directories, the places weights come from; and which back-end a
// location belongs to.
#include "drivers/local/preflight.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "drivers/driver.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

Status StatusOf(const std::function<void()> &call, std::string *message = nullptr) {
  try {
    call();
  } catch (const Error &error) {
    if (message != nullptr) *message = error.what();
    return error.status();
  }
  return Status::kOk;
}

class PreflightTest : public ::testing::Test {
 protected:
  Job Command(const std::string &program, const std::string &source = "") {
    Job job;
    job.command = {program};
    job.source_directory = source;
    return job;
  }
  Status Check(const Job &job) {
    return StatusOf([&] { CheckBeforeSubmit(job, &store); }, &message);
  }
  std::string File(const std::string &name, mode_t mode) {
    const std::string path = JoinPath(directory.path(), name);
    WriteFileAtomic(path, "#!/bin/sh\n");
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }

  TempDir directory{"trainyard-preflight-test"};
  Store store{JoinPath(directory.path(), "workspace")};
  std::string message;
};

TEST_F(PreflightTest, ProgramsAreLookedUpAsTheRankWill) {
  const std::string good = File("good", 0755), plain = File("plain", 0644);
  EXPECT_EQ(Check(Command("sh")), Status::kOk);
  EXPECT_EQ(Check(Command(good)), Status::kOk);
  EXPECT_EQ(Check(Command(plain)), Status::kPermission);
  EXPECT_NE(message.find("chmod +x"), std::string::npos) << message;
  EXPECT_EQ(Check(Command(directory.path())), Status::kPermission);
  EXPECT_EQ(Check(Command(good + "-not")), Status::kNotFound);
  EXPECT_EQ(Check(Command("./good")), Status::kNotFound);
  EXPECT_NE(message.find("source directory"), std::string::npos) << message;
  EXPECT_EQ(Check(Command("./good", directory.path())), Status::kOk);
  EXPECT_EQ(Check(Command("./none", directory.path())), Status::kNotFound);
  EXPECT_EQ(Check(Command("no-such-program")), Status::kNotFound);
  // The job's own PATH counts.
  Job job = Command("good");
  EXPECT_EQ(Check(job), Status::kNotFound);
  job.variables["PATH"] = "/none:" + directory.path();
  EXPECT_EQ(Check(job), Status::kOk);
  job.command = {"sh"};
  EXPECT_EQ(Check(job), Status::kNotFound);
}

TEST_F(PreflightTest, SourceDirectoriesMustBeThere) {
  EXPECT_EQ(Check(Command("sh", directory.path())), Status::kOk);
  EXPECT_EQ(Check(Command("sh", "/no/such")), Status::kNotFound);
  EXPECT_EQ(Check(Command("sh", File("file", 0644))), Status::kInvalidArgument);
}

TEST_F(PreflightTest, TrainingDataAndWeightsMustBeThere) {
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.train->SetString("data.directory", directory.path());
  EXPECT_EQ(Check(job), Status::kOk);
  job.train->SetString("model.weights", "/no/such.safetensors");
  EXPECT_EQ(Check(job), Status::kNotFound);
  EXPECT_NE(message.find("model.weights"), std::string::npos) << message;
  job.train->SetString("model.weights", File("w.pth", 0644));
  EXPECT_EQ(Check(job), Status::kOk);
  job.train->SetString("data.directory", "/no/such");
  EXPECT_EQ(Check(job), Status::kNotFound);
  EXPECT_NE(message.find("data.directory"), std::string::npos) << message;
}

TEST_F(PreflightTest, AManifestIsAFile) {
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.train->SetString("data.manifest", directory.path() + "/none.csv");
  EXPECT_EQ(Check(job), Status::kNotFound);
  EXPECT_NE(message.find("'data.manifest': file"), std::string::npos) << message;
  job.train->SetString("data.manifest", File("list.csv", 0644));
  EXPECT_EQ(Check(job), Status::kOk);
  job.train->SetString("data.manifest", "${{inputs.set}}/list.csv");
  job.inputs["set"].location = directory.path();
  EXPECT_EQ(Check(job), Status::kOk);
  EXPECT_TRUE(FindTrainingData(&job));
  EXPECT_EQ(job.train->GetString("data.manifest"), directory.path() + "/list.csv");
}

TEST_F(PreflightTest, ArraysAreAFileOrADirectory) {
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.train->SetString("data.arrays", directory.path() + "/none.safetensors");
  EXPECT_EQ(Check(job), Status::kNotFound);
  EXPECT_NE(message.find("'data.arrays':"), std::string::npos) << message;
  job.train->SetString("data.arrays", File("a.safetensors", 0644));
  EXPECT_EQ(Check(job), Status::kOk);
  job.train->SetString("data.arrays", "${{inputs.set}}");
  job.inputs["set"].location = directory.path();
  EXPECT_EQ(Check(job), Status::kOk);
  EXPECT_TRUE(FindTrainingData(&job));
  EXPECT_EQ(job.train->GetString("data.arrays"), directory.path());
}

TEST_F(PreflightTest, TrainingDataMayBeAnInput) {
  MakeDirs(directory.path() + "/set/train");
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.train->SetString("data.directory", "${{inputs.set}}/train");
  EXPECT_EQ(Check(job), Status::kInvalidArgument);  // there is no such input
  job.inputs["set"].location = directory.path() + "/set";
  ResolvePaths(&job);
  EXPECT_EQ(Check(job), Status::kOk);
  Job local = job;
  EXPECT_TRUE(FindTrainingData(&local));
  EXPECT_EQ(local.train->GetString("data.directory"), directory.path() + "/set/train");
  job.train->SetString("data.directory", "${{inputs.set}}/none");
  EXPECT_EQ(Check(job), Status::kNotFound);
  // What is fetched when the run starts cannot be looked at.
  job.inputs["set"].location = "https://host/set.zip";
  EXPECT_EQ(Check(job), Status::kOk);
  EXPECT_FALSE(FindTrainingData(&job));
  job.train->SetString("data.directory", "azureml://datastores/s/paths/set");
  EXPECT_EQ(Check(job), Status::kInvalidArgument);
  EXPECT_NE(message.find("ty_job_add_input"), std::string::npos) << message;
}

TEST_F(PreflightTest, PathsBecomeAbsolute) {
  char *here = getcwd(nullptr, 0);
  const std::string current = here;
  free(here);  // NOLINT(cppcoreguidelines-no-malloc): getcwd's own
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.source_directory = "src";
  job.train->SetString("data.directory", "images");
  job.train->SetString("model.weights", "w.pth");
  ResolvePaths(&job);
  EXPECT_EQ(job.source_directory, JoinPath(current, "src"));
  EXPECT_EQ(job.train->GetString("data.directory"), JoinPath(current, "images"));
  EXPECT_EQ(job.train->GetString("model.weights"), JoinPath(current, "w.pth"));
  job.train->SetString("model.weights", "model:net:3");
  ResolvePaths(&job);
  EXPECT_EQ(job.train->GetString("model.weights"), "model:net:3");
}

TEST(Weights, AreRefusedWithoutTheirCredentials) {
  const std::string hash = "#" + std::string(64, 'a');
  for (const std::string text : {"ftp://bob:S3CRET@h/x", "bob:S3CRET@h/x", "http:/bob:S3CRET@h/x",
                                 "http://bob:S3/CRET@h/x", "https://bob:S3CRET@h/x", "http://bob:S3CRET@h/x"}) {
    std::string message;
    EXPECT_EQ(StatusOf([&] { ParseWeights(text + (text.starts_with("https") ? "" : hash)); }, &message),
              Status::kInvalidArgument)
        << text;
    EXPECT_EQ(message.find("CRET"), std::string::npos) << message;
  }
  EXPECT_EQ(ParseWeights("http://bob:pw@127.0.0.1/x" + hash).url, "http://bob:pw@127.0.0.1/x");
}

TEST(Weights, AreFilesModelsOrCheckedUrls) {
  const std::string hash(64, 'a');
  EXPECT_EQ(ParseWeights("").kind, WeightsSource::Kind::kNone);
  EXPECT_EQ(ParseWeights("a b#c.pth").path, "a b#c.pth");
  EXPECT_EQ(ParseWeights("model:net").version, 0);
  const WeightsSource model = ParseWeights("model:net:12");
  EXPECT_EQ(model.kind, WeightsSource::Kind::kModel);
  EXPECT_EQ(model.model, "net");
  EXPECT_EQ(model.version, 12);
  const WeightsSource url = ParseWeights("https://host/a.pth#" + hash);
  EXPECT_EQ(url.kind, WeightsSource::Kind::kUrl);
  EXPECT_EQ(url.url, "https://host/a.pth");
  EXPECT_EQ(url.sha256, hash);
  for (const std::string &wrong :
       {std::string("model:"), std::string("model:a:b"), std::string("model:a:-1"), std::string("model:a:1:2"),
        std::string("https://host/a.pth"), std::string("https://host/a.pth#short"),
        "https://host/a.pth#" + std::string(64, 'A'), "ftp://host/a.pth#" + hash}) {
    EXPECT_EQ(StatusOf([&] { ParseWeights(wrong); }), Status::kInvalidArgument) << wrong;
  }
}

TEST(Registry, LocationsHaveOneBackEnd) {
  EXPECT_EQ(StatusOf([] { OpenWorkspace(""); }), Status::kInvalidArgument);
  EXPECT_EQ(StatusOf([] { OpenWorkspace("s3://bucket"); }), Status::kUnsupported);
  const TempDir directory("trainyard-registry-test");
  EXPECT_EQ(OpenWorkspace(directory.path())->location(), directory.path());
}

}  // namespace
}  // namespace trainyard
