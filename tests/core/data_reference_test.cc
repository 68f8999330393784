#include "core/data_reference.h"

#include <gtest/gtest.h>

#include "core/job.h"
#include "util/error.h"
#include "util/error_message.h"

namespace trainyard {
namespace {

using Kind = DataReference::Kind;

JobInput From(const std::string &source, JobInput::Mode mode = JobInput::Mode::kLink) {
  JobInput input;
  input.source = source;
  input.mode = mode;
  return input;
}

TEST(DataReference, IsParsedAndPrinted) {
  const std::string hash(64, 'a');
  const struct {
    std::string text;
    Kind kind;
    std::string name, rest, printed;
    int64_t version = 0;
  } cases[] = {
      {"azureml://datastores/store_1/paths/a/b.csv", Kind::kDatastore, "store_1", "a/b.csv", ""},
      {"azureml://datastores/s/paths/", Kind::kDatastore, "s", "", ""},
      {"azureml://datastores/s/paths", Kind::kDatastore, "s", "", "azureml://datastores/s/paths/"},
      {"azureml://datastores/s/paths/a/", Kind::kDatastore, "s", "a", "azureml://datastores/s/paths/a"},
      {"azureml://subscriptions/1/resourcegroups/g/workspaces/w/datastores/s/paths/a", Kind::kDatastore, "s", "a",
       "azureml://datastores/s/paths/a"},
      {"azureml:images:3", Kind::kAsset, "images", "", "", 3},
      {"azureml:images@latest", Kind::kAsset, "images", "", ""},
      {"azureml:images", Kind::kAsset, "images", "", "azureml:images@latest"},
      {"images:3", Kind::kAsset, "images", "", "azureml:images:3", 3},
      {"images:latest", Kind::kAsset, "images", "", "azureml:images@latest"},
      {"./images:3", Kind::kPath, "", "./images:3", ""},
      {"/data/x", Kind::kPath, "", "/data/x", ""},
      {"C:x", Kind::kPath, "", "C:x", ""},
      {"file:///data/x", Kind::kPath, "", "/data/x", "/data/x"},
      {"https://host/a.zip#" + hash, Kind::kUrl, "", "https://host/a.zip", ""},
      {"http://127.0.0.1:80/a", Kind::kUrl, "", "http://127.0.0.1:80/a", ""},
      {"http://host/a#" + hash, Kind::kUrl, "", "http://host/a", ""},
      {"file:///data/x#" + hash, Kind::kUrl, "", "file:///data/x", ""},
      {"file://localhost/data/a%20b", Kind::kPath, "", "/data/a b", "/data/a b"},
  };
  for (const auto &c : cases) {
    const DataReference reference = DataReference::Parse(c.text);
    EXPECT_EQ(reference.kind, c.kind) << c.text;
    EXPECT_EQ(reference.name, c.name) << c.text;
    EXPECT_EQ(reference.kind == Kind::kUrl ? reference.url : reference.path, c.rest) << c.text;
    EXPECT_EQ(reference.version, c.version) << c.text;
    EXPECT_EQ(reference.Print(), c.printed.empty() ? c.text : c.printed);
  }
  EXPECT_EQ(DataReference::Parse("https://host/a#" + hash).sha256, hash);
  EXPECT_EQ(DataReference::Parse("https://host/a#" + std::string(64, 'A')).sha256, std::string(64, 'a'));
}

TEST(DataReference, WhatIsNoneIsRefused) {
  for (const std::string &text : {std::string(),
                                  std::string("azureml://"),
                                  std::string("azureml://datastores/s"),
                                  std::string("azureml://datastores/s/a"),
                                  std::string("azureml://datastores//paths/a"),
                                  std::string("azureml://datastores/s/paths/../a"),
                                  std::string("azureml://datastores/s/paths/a//b"),
                                  std::string("azureml:a:0"),
                                  std::string("azureml:a:x"),
                                  std::string("azureml:a/b:1"),
                                  std::string("azureml:"),
                                  std::string("s3://bucket/a"),
                                  std::string("https://host/a#short"),
                                  "https://host/a#" + std::string(64, 'g'),
                                  std::string("file://relative"),
                                  std::string("file:///a%"),
                                  std::string("http://host/a"),
                                  std::string("https:///a"),
                                  "http://user:pw@host/a#" + std::string(64, 'a'),
                                  std::string("user:pw@host/a"),
                                  std::string("http:/user:pw@host/a"),
                                  std::string("https://user:p/w@host/a")}) {
    EXPECT_THROW(DataReference::Parse(text), Error) << text;
  }
}

TEST(DataReference, WhatIsRefusedIsShownWithoutCredentials) {
  for (const std::string text : {"https://host/a?sig=S3CRET#short", "https://host/a#S3CRET",
                                 "https://user:S3CRET#x@host/a", "http:/u:S3CRET@host/a", "u:S3CRET@host/a",
                                 "http://S3CRET/x@host/a", "http://u:1/S3CRET@host/a", "ftp://u:S3CRET@host/a"}) {
    const std::string message = MessageOf([&] { DataReference::Parse(text); });
    EXPECT_NE(message, "") << text;
    EXPECT_EQ(message.find("S3CRET"), std::string::npos) << message;
  }
}

TEST(JobInput, TextsAreExpanded) {
  const std::map<std::string, std::string> paths = {{"train", "/in/train"}, {"x", "/in/x"}};
  EXPECT_EQ(ExpandInputs("--data=${{inputs.train}}/a ${{ inputs.x }}", paths), "--data=/in/train/a /in/x");
  EXPECT_EQ(ExpandInputs("$HOME ${x} ${{other.y}} ${{", paths), "$HOME ${x} ${{other.y}} ${{");
  EXPECT_THROW(ExpandInputs("${{inputs.trian}}", paths), Error);
}

TEST(JobInput, IsPartOfTheJob) {
  Job job;
  job.command = {"prog", "${{inputs.data}}"};
  EXPECT_NO_THROW(job.Check());  // inputs are added to the job when it has been made
  job.inputs["data"] = From("azureml://datastores/s/paths/a", JobInput::Mode::kDownload);
  EXPECT_NO_THROW(job.Check());
  const Job copy = Job::FromJson(job.ToJson());
  EXPECT_EQ(copy.ToJson(), job.ToJson());
  EXPECT_EQ(copy.inputs.at("data").mode, JobInput::Mode::kDownload);
  EXPECT_EQ(Job::FromJson(copy.ToJson()).Hash(), job.Hash());
  job.variables["data"] = "x";
  EXPECT_THROW(job.Check(), Error);  // would be hidden by the variable
  job.variables.clear();
  for (const char *name : {"1x", "a-b", "PATH", "RANK", "LD_PRELOAD", "AZUREML_RUN_ID"}) {
    job.inputs = {{"data", From("/a")}, {name, From("/a")}};
    EXPECT_THROW(job.Check(), Error) << name;
  }
}

TEST(JobInput, JsonHasNoCredentials) {
  Job job;
  job.command = {"prog"};
  const std::string hash(64, 'a');
  job.inputs["in"] = From("https://user:in-the-url@host/a?sig=in-the-query#" + hash);
  job.inputs["in"].location = "https://user:in-the-url@host/a?sig=in-the-query";
  job.inputs["in"].sha256 = hash;
  EXPECT_NO_THROW(job.Check());
  const std::string text = job.ToJson().Dump();
  EXPECT_EQ(text.find("in-the-"), std::string::npos) << text;
  // What was read back lacks them, and says so when it is submitted.
  const Job copy = Job::Parse(text, "job");
  EXPECT_EQ(copy.inputs.at("in").source, "https://***@host/a?sig=***#" + hash);
  EXPECT_EQ(copy.inputs.at("in").sha256, hash);
  EXPECT_EQ(copy.Hash(), job.Hash());
  EXPECT_THROW(copy.Check(), Error);
}

TEST(JobJson, HasNoCredentialsOfWeights) {
  Job job;
  job.kind = RunKind::kTrain;
  job.train = TrainConfig();
  job.train->SetString("model.weights", "https://user:in-the-url@host/a?sig=in-the-query#" + std::string(64, 'a'));
  const std::string text = job.ToJson().Dump();
  EXPECT_EQ(text.find("in-the-"), std::string::npos) << text;
  EXPECT_NE(text.find("https://***@host/a?sig=***#"), std::string::npos) << text;
  EXPECT_NE(job.train->GetString("model.weights").find("in-the-url"), std::string::npos);
}

}  // namespace
}  // namespace trainyard
