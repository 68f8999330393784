// Runs the image code for pil_parity.py and augmentation_parity.py: one command per line on stdin, answers on stdout.
// Argument: pillow13 or horizontal-first, the order of resize passes. Fields are separated by tabs.
//   decode PATH                                     -> pixels of the whole image
//   region PATH X Y W H                             -> pixels of the part, decoded as a part
//   resize PATH TW TH X Y W H SIMD                  -> the window of the image resized to TW x TH; SIMD is 0 or 1
//   eval   PATH RESIZE CROP LAYOUT                  -> floats; LAYOUT is 0 (NCHW) or 1 (NHWC)
//   train  PATH CROP X Y W H FLIP LAYOUT            -> floats of the crop, decoded as a part
//   color  PATH KIND FACTOR SIMD                    -> pixels; KIND is brightness, contrast, saturation, hue, grayscale
//   rotate PATH DEGREES R G B                       -> pixels
//   augment PATH CROP X Y W H FLIP VFLIP STEPS DEGREES R G B GRAY EX EY EW EH LAYOUT WHOLE
//                                                   -> floats; STEPS is KIND=FACTOR,... or -; WHOLE: from the decoded
//                                                   image
//   time   KIND ROUNDS                              -> the fewest microseconds that KIND (of color, or rotate) took for
//                                                      224 x 224 pixels, of so many rounds
//   bench  LISTFILE THREADS MODE ROUNDS             -> runs decode | train | eval over the files and answers the
//   seconds
// Answer: "OK <bytes> <width> <height>\n" and the bytes, or "ERR <message>\n".
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine_torch/image/adjust.h"
#include "engine_torch/image/image.h"
#include "engine_torch/image/rotate.h"
#include "engine_torch/image/transforms.h"
#include "util/error.h"

namespace {

using namespace trainyard::image;

PassOrder g_order = PassOrder::kPillow13;  // which Pillow to follow, set once by main

void Answer(const void *data, size_t bytes, int width, int height) {
  printf("OK %zu %d %d\n", bytes, width, height);
  fwrite(data, 1, bytes, stdout);
  fflush(stdout);
}

struct Command {
  std::vector<std::string> fields;
  int Int(size_t i) const { return std::stoi(fields.at(i)); }
  double Number(size_t i) const { return std::stod(fields.at(i)); }
  uint8_t Byte(size_t i) const { return static_cast<uint8_t>(Int(i)); }
  Rect Box(size_t i) const { return {Int(i), Int(i + 1), Int(i + 2), Int(i + 3)}; }
};

double Bench(const std::string &list, int threads, const std::string &mode, int rounds) {
  std::vector<std::string> paths;
  std::ifstream in(list);
  for (std::string line; std::getline(in, line);) {
    paths.push_back(line);
  }
  std::atomic<size_t> next = 0;
  auto work = [&] {
    Transformer transformer((TransformConfig()));
    std::vector<float> out(transformer.config().floats());
    ByteBuffer bytes;
    Image image;
    size_t total = paths.size() * static_cast<size_t>(rounds);
    for (size_t i = next++; i < total; i = next++) {
      const std::string &path = paths[i % paths.size()];
      if (mode == "train") {
        transformer.LoadTrain(path, 1, static_cast<uint32_t>(i / paths.size()), i % paths.size(), out.data());
      } else if (mode == "eval") {
        transformer.LoadEval(path, out.data());
      } else {
        ReadImageFile(path, &bytes);
        DecodeImage(bytes, path, &image);
      }
    }
  };
  auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      workers.emplace_back(work);
    }
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void ChangeColor(const std::string &kind, double factor, Simd simd, Image *image) {
  uint8_t *rgb = image->rgb.data();
  const size_t pixels = image->rgb.size() / 3;
  if (kind == "brightness") AdjustBrightness(rgb, pixels, factor, simd);
  if (kind == "contrast") AdjustContrast(rgb, pixels, factor, simd);
  if (kind == "saturation") AdjustSaturation(rgb, pixels, factor, simd);
  if (kind == "hue") AdjustHue(rgb, pixels, factor, simd);
  if (kind == "grayscale") ToGrayscale(rgb, pixels, simd);
}

void RunColor(const Command &command) {
  Image image = DecodeImageFile(command.fields.at(1));
  ChangeColor(command.fields.at(2), command.Number(3), command.Int(4) != 0 ? Simd::kBest : Simd::kNone, &image);
  Answer(image.rgb.data(), image.rgb.size(), image.width, image.height);
}

void RunTime(const Command &command) {
  const std::string &kind = command.fields.at(1);
  Image image;
  image.Reset(224, 224);
  uint32_t state = 1;
  for (uint8_t &value : image.rgb) value = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  ByteBuffer out(image.rgb.size());
  double best = 1e9;
  for (int round = 0; round < command.Int(2); ++round) {
    Image changed = image;
    const auto start = std::chrono::steady_clock::now();
    if (kind == "rotate") {
      Rotate(changed.rgb.data(), 224, 224, 17.3, {}, out.data());
    } else {
      ChangeColor(kind, kind == "hue" ? 0.1 : 1.3, Simd::kBest, &changed);
    }
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  const std::string text = std::to_string(best);
  Answer(text.data(), text.size(), 0, 0);
}

void RunRotate(const Command &command) {
  const Image image = DecodeImageFile(command.fields.at(1));
  ByteBuffer out(image.rgb.size());
  Rotate(image.rgb.data(), image.width, image.height, command.Number(2),
         {command.Byte(3), command.Byte(4), command.Byte(5)}, out.data());
  Answer(out.data(), out.size(), image.width, image.height);
}

std::vector<ColorStep> StepsOf(const std::string &text) {
  const std::vector<std::string> kinds = {"brightness", "contrast", "saturation", "hue"};
  std::vector<ColorStep> steps;
  std::istringstream in(text == "-" ? "" : text);
  for (std::string step; std::getline(in, step, ',');) {
    const size_t equals = step.find('=');
    const auto kind = std::find(kinds.begin(), kinds.end(), step.substr(0, equals)) - kinds.begin();
    steps.push_back({static_cast<ColorStep::Kind>(kind), std::stod(step.substr(equals + 1))});
  }
  return steps;
}

void RunAugment(const Command &command) {
  TransformConfig config;
  config.resize = config.crop = command.Int(2);
  config.augmentation.rotation.fill = {command.Byte(11), command.Byte(12), command.Byte(13)};
  config.layout = command.Int(19) == 0 ? Layout::kNchw : Layout::kNhwc;
  config.pass_order = g_order;
  Augmentation drawn;
  drawn.box = command.Box(3);
  drawn.flip = command.Int(7) != 0;
  drawn.vertical_flip = command.Int(8) != 0;
  for (const ColorStep &step : StepsOf(command.fields.at(9))) drawn.color.at(drawn.color_steps++) = step;
  drawn.degrees = command.Number(10);
  drawn.grayscale = command.Int(14) != 0;
  drawn.erased = command.Box(15);
  Transformer transformer(config);
  std::vector<float> out(config.floats());
  ByteBuffer bytes;
  ReadImageFile(command.fields.at(1), &bytes);
  if (command.Int(20) != 0) {
    transformer.Train(DecodeImage(bytes, command.fields.at(1)), drawn, out.data());
  } else {
    ImageReader reader(bytes, command.fields.at(1));
    transformer.Train(&reader, drawn, out.data());
  }
  Answer(out.data(), out.size() * sizeof(float), config.crop, config.crop);
}

void Run(const Command &command) {
  const std::string &verb = command.fields.at(0);
  if (verb == "bench") {
    std::string seconds =
        std::to_string(Bench(command.fields.at(1), command.Int(2), command.fields.at(3), command.Int(4)));
    Answer(seconds.data(), seconds.size(), 0, 0);
    return;
  }
  if (verb == "time") return RunTime(command);
  if (verb == "color") return RunColor(command);
  if (verb == "rotate") return RunRotate(command);
  if (verb == "augment") return RunAugment(command);
  const std::string &path = command.fields.at(1);
  if (verb == "decode") {
    Image image = DecodeImageFile(path);
    Answer(image.rgb.data(), image.rgb.size(), image.width, image.height);
  } else if (verb == "region") {
    ByteBuffer bytes;
    ReadImageFile(path, &bytes);
    Image image;
    Rect wanted = command.Box(2);
    Rect covered = ImageReader(bytes, path).DecodeRegion(wanted, &image);
    ImageView view = ViewOf(image, covered, wanted);
    ByteBuffer out;
    for (int y = 0; y < wanted.height; ++y) {
      const uint8_t *row = view.pixels + static_cast<size_t>(y) * view.stride;
      out.insert(out.end(), row, row + static_cast<size_t>(wanted.width) * 3);
    }
    Answer(out.data(), out.size(), wanted.width, wanted.height);
  } else if (verb == "resize") {
    Image image = DecodeImageFile(path);
    Resampler resampler(command.Int(8) != 0 ? Simd::kBest : Simd::kNone, g_order);
    Rect window = command.Box(4);
    ByteBuffer out(static_cast<size_t>(window.width) * static_cast<size_t>(window.height) * 3);
    resampler.Resize(ViewOf(image), command.Int(2), command.Int(3), window, out.data());
    Answer(out.data(), out.size(), window.width, window.height);
  } else {
    bool eval = verb == "eval";
    TransformConfig config;
    config.resize = eval ? command.Int(2) : 256;
    config.crop = eval ? command.Int(3) : command.Int(2);
    config.layout = command.Int(eval ? 4 : 8) == 0 ? Layout::kNchw : Layout::kNhwc;
    config.pass_order = g_order;
    Transformer transformer(config);
    std::vector<float> out(config.floats());
    if (eval) {
      transformer.LoadEval(path, out.data());
    } else {
      ByteBuffer bytes;
      ReadImageFile(path, &bytes);
      ImageReader reader(bytes, path);
      transformer.Train(&reader, {.box = command.Box(3), .flip = command.Int(7) != 0}, out.data());
    }
    Answer(out.data(), out.size() * sizeof(float), config.crop, config.crop);
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc > 1 && std::string(argv[1]) == "horizontal-first") {
    g_order = PassOrder::kHorizontalFirst;
  }
  for (std::string line; std::getline(std::cin, line);) {
    Command command;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, '\t');) {
      command.fields.push_back(field);
    }
    try {
      Run(command);
    } catch (const std::exception &error) {
      printf("ERR %s\n", error.what());
      fflush(stdout);
    }
  }
  return 0;
}
