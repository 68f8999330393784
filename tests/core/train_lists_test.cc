#include "core/train_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "util/error_message.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TrainLists, PatternsAreSeparatedByCommas) {
  EXPECT_THAT(ParsePatterns("conv1.*, bn1.*", "k"), ElementsAre("conv1.*", "bn1.*"));
  EXPECT_TRUE(ParsePatterns(" ", "k").empty());
  EXPECT_THAT(MessageOf([] { ParsePatterns("a,,b", "model.freeze"); }), HasSubstr("'model.freeze' has an empty part"));
}

TEST(TrainLists, PatternsFitWholeNames) {
  EXPECT_TRUE(FitsPattern("layer1.0.conv1.weight", "layer1.*"));
  EXPECT_TRUE(FitsPattern("layer1.0.conv1.weight", "*.conv?.weight"));
  EXPECT_FALSE(FitsPattern("layer10.weight", "layer1.*"));
  EXPECT_FALSE(FitsPattern("fc.weight", "fc"));
}

TEST(TrainLists, FactorsNeedAPatternAndANumber) {
  const std::vector<ParameterFactor> factors = ParseFactors("layer4.*=0.1, fc.*=2", "k");
  ASSERT_EQ(factors.size(), 2u);
  EXPECT_EQ(factors[0].pattern, "layer4.*");
  EXPECT_EQ(factors[0].factor, 0.1);
  EXPECT_EQ(factors[1].pattern, "fc.*");
  EXPECT_EQ(factors[1].factor, 2);
  for (const char *bad : {"fc.*", "=2", "fc.*=", "fc.*=x", "fc.*=-1", "fc.*=nan"}) {
    EXPECT_THAT(MessageOf([&] { ParseFactors(bad, "optimizer.lr_factors"); }), HasSubstr("optimizer.lr_factors"))
        << bad;
  }
}

TEST(TrainLists, ClassWeightsAreNumbersOrBalanced) {
  EXPECT_TRUE(ParseClassWeights("balanced", "k").balanced);
  EXPECT_THAT(ParseClassWeights("1,2.5,0", "k").weights, ElementsAre(1, 2.5, 0));
  EXPECT_TRUE(ParseClassWeights("", "k").weights.empty());
  for (const char *bad : {"even", "1,", "1;2", "-1,1", "0,0", "inf"}) {
    EXPECT_THAT(MessageOf([&] { ParseClassWeights(bad, "loss.class_weights"); }), HasSubstr("loss.class_weights"))
        << bad;
  }
}

}  // namespace
}  // namespace trainyard
