// What an environment's parts ask for, and which line asked for it.
#include "runner/environment/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>
#include <utility>
#include <vector>

#include "runner/environment/kinds.h"
#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

Environment Conda(const std::string &file) {
  Environment environment;
  environment.name = "e";
  environment.conda_file = file;
  return environment;
}

bool Allows(const char *spec, MinorVersion version) {
  return VersionSpec(spec).Allows(version);
}

TEST(VersionSpecTest, AsCondaAndPipMeanIt) {
  for (const char *spec : {"", "=3.11", "==3.11.*", "==3.11.4", "3.11", "3", "=3", ">=3.8", ">=3.8,<3.12",
                           "<3.12,>3.10", "~=3.8", "~=3.11.2", "!=3.11.1", "<=3.11", "<3.11.5"}) {
    EXPECT_TRUE(Allows(spec, {3, 11})) << spec;
  }
  for (const char *spec : {"=3.1", "==3.10", ">3.11", "<3.11", ">=3.12", "~=3.12", "~=3.10.1", "!=3.11", "=2", ">=4"}) {
    EXPECT_FALSE(Allows(spec, {3, 11})) << spec;
  }
}

TEST(VersionSpecTest, PackagesAreReadAsCondaAndPipWriteThem) {
  const auto parts = [](const char *text) {
    const PackageSpec spec = ParsePackage(text);
    return spec.name + "|" + spec.version;
  };
  EXPECT_EQ(parts("conda-forge::PyTorch=1.6=cuda"), "pytorch|=1.6");
  EXPECT_EQ(parts("python 3.6"), "python|3.6");
  EXPECT_EQ(parts("scikit_learn>=1.0,<2"), "scikit-learn|>=1.0,<2");
  EXPECT_EQ(parts("requests[socks] >= 2; python_version > '3'"), "requests|>= 2");
  EXPECT_EQ(parts("numpy"), "numpy|");
  EXPECT_EQ(parts("torch==1.6.0"), "torch|==1.6.0");
}

TEST(DefinitionTest, ACondaFileIsReadWithItsLines) {
  const Definition definition =
      ReadDefinition(Conda("name: e\n"
                           "channels:\n- conda-forge\n"
                           "dependencies:\n"
                           "- python=3.11\n"
                           "- pip\n"
                           "- numpy=1.26\n"
                           "- pip:\n"
                           "  - iniconfig==2.0.0\n"
                           "  - azureml-defaults\n"));
  ASSERT_EQ(definition.python.size(), 1u);
  EXPECT_EQ(definition.python[0].where, "line 5 of the conda file");
  ASSERT_EQ(definition.conda.size(), 1u);
  EXPECT_EQ(definition.conda[0].text, "numpy=1.26");
  ASSERT_EQ(definition.pip.size(), 1u);
  EXPECT_EQ(definition.pip[0].where, "line 9 of the conda file");
  EXPECT_EQ(definition.left_out, std::vector<std::string>{"azureml-defaults"});
  EXPECT_EQ(definition.channels, std::vector<std::string>{"conda-forge"});
}

TEST(DefinitionTest, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_THAT(MessageOf([] { ReadDefinition(Conda("a: [\n")); }), HasSubstr("is not YAML"));
  EXPECT_THAT(MessageOf([] { ReadDefinition(Conda("name: e\ndependancies:\n- six\n")); }),
              HasSubstr("line 2 of the conda file has the unknown key 'dependancies', did you mean 'dependencies'"));
  EXPECT_THAT(MessageOf([] { ReadDefinition(Conda("- six\n")); }), HasSubstr("line 1"));
  EXPECT_THAT(MessageOf([] { ReadDefinition(Conda("dependencies:\n- pip:\n  - -r other.txt\n")); }),
              HasSubstr("line 3 of the conda file"));
  EXPECT_THAT(MessageOf([] { ReadDefinition(Conda("dependencies: six\n")); }), HasSubstr("must be a list"));
}

TEST(DefinitionTest, ATorchThatDoesNotExistNamesTheNearest) {
  const Definition old = ReadDefinition(Conda("dependencies:\n- python=3.11\n- pip:\n  - torch==1.6.0\n"));
  EXPECT_THAT(MessageOf([&] {
                CheckTorch(old, {3, 11});
              }),
              testing::AllOf(HasSubstr("line 4 of the conda file ('torch==1.6.0')"),
                             HasSubstr("the nearest that does is 1.13")));
  for (const char *line : {"torch", "torch>=1.6", "torch==2.11.0", "torch==2.99.0", "torch~=2.4", "torch<2.5"}) {
    const Definition fine = ReadDefinition(Conda("dependencies:\n- pip:\n  - " + std::string(line) + "\n"));
    EXPECT_EQ(MessageOf([&] { CheckTorch(fine, {3, 11}); }), "") << line;
  }
}

TEST(DefinitionTest, APythonThatIsGivenUpGetsNoNewTorch) {
  const auto complaint = [](const char *line, MinorVersion python) {
    const Definition definition = ReadDefinition(Conda("dependencies:\n- pip:\n  - " + std::string(line) + "\n"));
    return MessageOf([&] { CheckTorch(definition, python); });
  };
  const std::vector<std::tuple<const char *, MinorVersion, const char *>> cases = {
      {"torch==2.11.0", {3, 8}, "the nearest that does is 2.4"},
      {"torch>=2.9", {3, 9}, "the nearest that does is 2.8"},
      {"torch==2.99", {3, 10}, "the nearest that does is 2.14"},
      {"torch==2.0", {3, 6}, "the nearest that does is 1.10"},
      {"torch==1.13.1", {3, 12}, "the nearest that does is 2.2"}};
  for (const auto &[line, python, nearest] : cases) EXPECT_THAT(complaint(line, python), HasSubstr(nearest)) << line;
  const std::vector<std::pair<const char *, MinorVersion>> fine = {{"torch==1.6.0", {3, 6}},   {"torch==1.7.1", {3, 9}},
                                                                   {"torch==2.11.0", {3, 10}}, {"torch==2.99", {3, 14}},
                                                                   {"torch==2.15.0", {3, 15}}, {"torch==1.0", {3, 77}}};
  for (const auto &[line, python] : fine) EXPECT_EQ(complaint(line, python), "") << line;
}

TEST(DefinitionTest, TheFrameworkBecomesAPackage) {
  Environment environment;
  environment.framework = "PyTorch";
  EXPECT_EQ(FrameworkLine(environment), "torch");
  environment.framework_version = "2.11";
  EXPECT_EQ(FrameworkLine(environment), "torch==2.11.*");
  environment.framework_version = "2.11.0";
  EXPECT_EQ(FrameworkLine(environment), "torch==2.11.0");
  environment.framework_version = ">=2.6";
  EXPECT_EQ(FrameworkLine(environment), "torch>=2.6");
  environment.framework = "Python";
  environment.framework_version = "3.11";
  EXPECT_EQ(FrameworkLine(environment), "");
  EXPECT_FALSE(ReadDefinition(environment).AllowsPython({3, 10}));
}

TEST(DefinitionTest, TheKindFollowsFromTheParts) {
  Environment environment;
  BuildTools tools("", "environment-test", [] { return true; });
  const auto kind = [&] { return std::string(KindOf(environment, ReadDefinition(environment), &tools).name); };
  environment.pip_packages = {"six"};
  EXPECT_EQ(kind(), "venv");
  environment.conda_file = "dependencies:\n- python>=3.5\n- pip\n";
  EXPECT_EQ(kind(), "venv");
  environment.conda_packages = {"numpy"};
  EXPECT_EQ(kind(), "conda");
  environment.interpreter = "python3";
  EXPECT_EQ(kind(), "interpreter");
  environment.base_image = "image";
  EXPECT_EQ(kind(), "container");
}

TEST(PipReasonTest, NamesTheNearestVersionThereIs) {
  EXPECT_EQ(PipReason("Collecting x\n"
                      "ERROR: Could not find a version that satisfies the requirement torch==1.6.0 (from versions: "
                      "1.13.0, 1.13.1, 2.0.0)\nERROR: No matching distribution found for torch==1.6.0\n"),
            "Could not find a version that satisfies the requirement torch==1.6.0; the nearest version that exists is "
            "1.13");
  EXPECT_EQ(PipReason("ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)\n"),
            "Could not find a version that satisfies the requirement nosuch (from versions: none)");
  EXPECT_EQ(PipReason("one\ntwo\n\n"), "two");
}

TEST(PipReasonTest, AnIndexThatWasNotReachedIsToldInsteadOfANearestVersion) {
  const auto retrying = [](const char *left) {
    return "WARNING: Retrying (Retry(total=" + std::string(left) +
           ", connect=None, read=None, redirect=None, status=None)) after connection broken by "
           "'NewConnectionError('<pip.HTTPSConnection object at 0x7f6d>: Failed to establish a new connection: [Errno "
           "-2] "
           "Name or service not known')': /whl/cpu/torch/\n";
  };
  const std::string error =
      "ERROR: Could not find a version that satisfies the requirement torch==2.11.0+cpu (from versions: 2.10.0, "
      "2.11.0)\nERROR: No matching distribution found\n";
  EXPECT_EQ(
      PipReason(retrying("1") + retrying("0") + error),
      "Could not find a version that satisfies the requirement torch==2.11.0+cpu; a package index was not reached "
      "(Failed to establish a new connection: [Errno -2] Name or service not known, for /whl/cpu/torch/)");
  EXPECT_THAT(PipReason(retrying("4") + error), HasSubstr("the nearest version that exists is 2.11"))
      << "the index answered at the next try";
}

}  // namespace
}  // namespace trainyard
