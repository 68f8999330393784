// Writes the report of a made-up training: report_driver tutorial|middle|large|labels|numbers|hostile|failed|empty OUT
// [IMAGE]... IMAGEs become the mistakes' pictures; without any they are made up, too.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "engine_torch/image/test_images.h"
#include "engine_torch/report/sample_reports.h"
#include "util/error.h"
#include "util/fs.h"

int main(int argc, char **argv) {
  using namespace trainyard;
  using namespace trainyard::report;
  if (argc < 3) {
    fprintf(stderr, "usage: report_driver tutorial|middle|large|labels|numbers|hostile|failed|empty OUT [IMAGE]...\n");
    return 2;
  }
  try {
    const std::string kind = argv[1];
    const TempDir directory;
    std::vector<std::string> pictures(argv + 3, argv + argc);
    if (pictures.empty()) {
      pictures = {JoinPath(directory.path(), "a.jpg"), JoinPath(directory.path(), "b.png"),
                  JoinPath(directory.path(), "no.jpg")};
      WriteFileAtomic(pictures[0], image::MakeJpeg(640, 480, {}));
      WriteFileAtomic(pictures[1], image::MakePng(32, 24, PNG_COLOR_TYPE_RGB, 8, false));
    }
    TrainingReport report;
    if (kind == "tutorial") report = TutorialReport(pictures);
    if (kind == "middle") report = LargeReport(12, 60, 9, pictures);
    if (kind == "large") report = LargeReport(200, 3000, 100, pictures);
    if (kind == "labels") report = LabelsReport(150, pictures);
    if (kind == "numbers") report = NumbersReport(pictures);
    if (kind == "hostile") report = HostileReport();
    if (kind == "failed") report = FailedReport();
    WriteReport(argv[2], report);
  } catch (const std::exception &error) {
    fprintf(stderr, "report_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}
