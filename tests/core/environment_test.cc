// Environments as values: what fits together, what the content hash covers, JSON.
#include "core/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job.h"
#include "util/error_message.h"
#include "util/hash.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Complaint(const Environment &environment) {
  return MessageOf([&] { environment.Check(); });
}

Environment Full() {
  Environment environment;
  environment.name = "full";
  environment.version = "3";
  environment.base_image = "image:1";
  environment.dockerfile = "RUN true\n";
  environment.registry = {"registry.example.com", "user", "secret-password"};
  environment.shm_size = "1g";
  environment.container_arguments = {"--cap-drop", "ALL"};
  environment.conda_file = "dependencies:\n- python=3.11\n";
  environment.conda_packages = {"numpy=1.26"};
  environment.conda_channels = {"conda-forge"};
  environment.pip_requirements = "iniconfig==2.0.0\n";
  environment.pip_packages = {"six"};
  environment.framework = "PyTorch";
  environment.framework_version = "2.11";
  environment.variables = {{"A", "1"}};
  return environment;
}

TEST(EnvironmentTest, JsonGivesEverythingBackButThePassword) {
  const Environment environment = Full();
  environment.Check();
  const std::string text = environment.ToJson().Dump();
  EXPECT_THAT(text, testing::Not(HasSubstr("secret-password")));
  EXPECT_THAT(text, HasSubstr("\"username\":\"user\""));
  const Environment back = Environment::Parse(text, "environment");
  EXPECT_EQ(back.ToJson(), environment.ToJson());
  EXPECT_EQ(back.container_arguments, environment.container_arguments);
  EXPECT_EQ(back.ContentHash(), environment.ContentHash());
  EXPECT_THAT(MessageOf([] { Environment::Parse(R"({"name":"e","pip":{"package":[]}})", "environment"); }),
              HasSubstr("environment.pip.package"));
}

TEST(EnvironmentTest, TheHashIsTheOneOfThePublishedRecipe) {
  Environment environment;
  environment.name = "e";
  environment.pip_requirements = "# comment\nsix\r\n\n  iniconfig==2.0.0  # why\n";
  environment.pip_packages = {"six", "attrs"};
  environment.conda_file = "name: n\n# c\ndependencies:  \n- python=3.11\n\n";
  EXPECT_EQ(environment.ContentHash(),
            Sha256Hex(R"({"conda":{"file":"dependencies:\n- python=3.11"},"pip":["attrs","iniconfig==2.0.0","six"],)"
                      R"("recipe":"trainyard-environment-1"})"));
}

TEST(EnvironmentTest, TheHashIsOfWhatIsInstalled) {
  const std::string hash = Full().ContentHash();
  const auto with = [&](const std::function<void(Environment &)> &change) {
    Environment environment = Full();
    change(environment);
    return environment.ContentHash();
  };
  EXPECT_EQ(with([](Environment &e) { e.name = "other"; }), hash);
  EXPECT_EQ(with([](Environment &e) { e.version = "4"; }), hash);
  EXPECT_EQ(with([](Environment &e) { e.variables.clear(); }), hash);
  EXPECT_EQ(with([](Environment &e) { e.registry = {}; }), hash);
  EXPECT_EQ(with([](Environment &e) { e.shm_size = "4g"; }), hash);
  EXPECT_EQ(with([](Environment &e) { e.conda_file = "name: x\n" + e.conda_file; }), hash);
  EXPECT_NE(with([](Environment &e) { e.base_image = "image:2"; }), hash);
  EXPECT_NE(with([](Environment &e) { e.dockerfile += "RUN false\n"; }), hash);
  EXPECT_NE(with([](Environment &e) { e.conda_packages.push_back("six"); }), hash);
  EXPECT_NE(with([](Environment &e) { e.conda_channels.insert(e.conda_channels.begin(), "defaults"); }), hash);
  EXPECT_NE(with([](Environment &e) { e.pip_packages = {"six==1.16"}; }), hash);
  EXPECT_NE(with([](Environment &e) { e.framework_version = "2.10"; }), hash);
  EXPECT_NE(with([](Environment &e) { e.interpreter = "python3"; }), hash);
}

TEST(EnvironmentTest, WhatDoesNotFitTogetherIsSaid) {
  Environment environment;
  environment.name = "e";
  EXPECT_TRUE(environment.IsSystem());
  environment.dockerfile = "RUN true";
  EXPECT_THAT(Complaint(environment), HasSubstr("no FROM line"));
  environment.dockerfile = "# syntax\nfrom scratch\n";
  EXPECT_EQ(Complaint(environment), "");
  environment.base_image = "image";
  EXPECT_THAT(Complaint(environment), HasSubstr("an image of its own"));
  environment = Environment();
  environment.name = "e";
  environment.interpreter = "python3";
  environment.pip_packages = {"six"};
  EXPECT_THAT(Complaint(environment), HasSubstr("used as it is"));
  environment.base_image = "image";
  EXPECT_EQ(Complaint(environment), "");
  environment.shm_size = "2 GB";
  EXPECT_THAT(Complaint(environment), HasSubstr("as in 2g"));
  environment = Environment();
  environment.name = "no good";
  EXPECT_THAT(Complaint(environment), HasSubstr("environment name 'no good'"));
  environment.name = "e";
  environment.framework = "Caffe";
  EXPECT_THAT(Complaint(environment), HasSubstr("PyTorch"));
}

TEST(EnvironmentTest, PipLinesMayNotNameFilesOfThisMachine) {
  for (const char *line : {"-r more.txt", "-rmore.txt", "--requirement=more.txt", "-e .", "./wheel.whl", "/x/y.whl",
                           "x @ file:///tmp/x.whl", "-c constraints.txt"}) {
    EXPECT_THAT(MessageOf([&] { CheckPipLine(line); }), HasSubstr("a file of this machine")) << line;
  }
  for (const char *line : {"six", "torch==2.11.*", "--extra-index-url https://example.com/simple", "--pre",
                           "x @ https://example.com/x.whl", "requests[socks]>=2; python_version > '3'"}) {
    EXPECT_EQ(MessageOf([&] { CheckPipLine(line); }), "") << line;
  }
  Environment environment;
  environment.pip_requirements = "six # comment\r\n#only\n\nattrs";
  environment.pip_packages = {" six "};
  EXPECT_THAT(environment.PipLines(), ElementsAre("six", "attrs"));
}

TEST(EnvironmentTest, CredentialsAreRefusedWhereverTheyAre) {
  const auto with = [](const std::function<void(Environment &)> &change) {
    Environment environment;
    environment.name = "e";
    change(environment);
    return Complaint(environment);
  };
  const std::string messages[] = {
      with([](Environment &e) { e.base_image = "http://u:S3CRET@127.0.0.1/x"; }),
      with([](Environment &e) { e.base_image = "u:S3CRET@127.0.0.1/x"; }),
      with([](Environment &e) { e.dockerfile = "FROM x\nRUN pip install --index-url https://u:S3CRET@h/ x\n"; }),
      with([](Environment &e) { e.conda_file = "channels:\n- https://u:S3CRET@h/c\n"; }),
      with([](Environment &e) { e.conda_channels = {"https://u:S3CRET@h/c"}; }),
      with([](Environment &e) { e.conda_channels = {"u:S3CRET@h/c"}; }),
      with([](Environment &e) { e.conda_channels = {"https://h/t/tk-S3CRET/c"}; }),
      with([](Environment &e) { e.conda_channels = {"h/t/S3CRET/c"}; }),
      with([](Environment &e) { e.conda_file = "channels:\n- https://h/conda/t/S3CRET/c\n"; }),
      with([](Environment &e) { e.conda_packages = {"https://h/t/S3CRET/c::x"}; }),
      with([](Environment &e) {
        e.dockerfile = "FROM x\nRUN conda install -c https://h/t/tk-S3CRET-e5f6-4a7b-8c9d-0e1f2a3b4c5d/c x\n";
      }),
      with([](Environment &e) { e.conda_packages = {"https://S3CRET@h/c/x.conda"}; }),
      with([](Environment &e) { e.pip_requirements = "--index-url http://u:S3CRET@h/simple\nsix\n"; }),
      with([](Environment &e) { e.pip_requirements = "# as http://u:S3CRET@h/simple\nsix\n"; }),
      with([](Environment &e) { e.pip_packages = {"x @ http://u:S3CRET@h/x.whl"}; }),
      with([](Environment &e) { e.pip_packages = {"git+https://S3CRET@h/x.git"}; }),
      with([](Environment &e) { e.pip_packages = {"x @ https://h/x.whl?sig=S3CRET"}; }),
      with([](Environment &e) {
        e.container_arguments = {"--env", "https_proxy=http://u:S3CRET@h"};
      }),
  };
  for (const std::string &message : messages) {
    EXPECT_THAT(message,
                testing::AllOf(HasSubstr("holds credentials"), HasSubstr("***"), testing::Not(HasSubstr("S3CRET"))));
  }
  EXPECT_THAT(MessageOf([] { CheckPipLine("-e git+https://u:S3CRET@h/x"); }), testing::Not(HasSubstr("S3CRET")));
  EXPECT_EQ(with([](Environment &e) {
              e.base_image = "registry.example.com:5000/a/b:1@sha256:" + std::string(64, 'a');
              e.conda_channels = {"conda-forge", "https://h/channel", "https://h/t/${TOKEN}/c",
                                  "https://t/c", "/opt/t/channel",    "file:///opt/t/channel"};
              e.dockerfile = "ADD https://h/t/data.zip https://h/t/dir/data.zip /\n";
              e.pip_requirements = "--extra-index-url https://${USER}:${TOKEN}@h/simple\n";
              e.pip_packages = {"git+https://git@github.com/a/b.git@v1#egg=b", "git+ssh://me@h/a.git",
                                "x @ https://h/x.whl#sha256=" + std::string(64, 'a')};
            }),
            "");
}

TEST(EnvironmentTest, ReservedNames) {
  for (const char *name : {"AzureML-PyTorch-1.6-GPU", "azureml-x", "Microsoft.x"})
    EXPECT_TRUE(IsReservedEnvironmentName(name)) << name;
  EXPECT_FALSE(IsReservedEnvironmentName("my-azureml"));
}

TEST(EnvironmentTest, AJobCarriesTheDefinition) {
  Job job;
  job.shell_command = "true";
  const std::string hash = job.Hash();
  EXPECT_THAT(job.ToJson().Dump(), testing::Not(HasSubstr("environment_definition")));
  job.environment = "full";
  job.environment_definition = Full();
  job.Check();
  EXPECT_NE(job.Hash(), hash);
  const Job back = Job::FromJson(job.ToJson());
  ASSERT_TRUE(back.environment_definition.has_value());
  EXPECT_EQ(back.environment_definition->ToJson(), Full().ToJson());
  EXPECT_EQ(back.Hash(), job.Hash());
}

}  // namespace
}  // namespace trainyard
