// Runs the image code for pil_parity.py: one command per line on stdin, answers on stdout. Argument: pillow13 or
// horizontal-first, the order of resize passes. Fields are separated by
// tabs.
//   decode PATH                                     -> pixels of the whole image
//   region PATH X Y W H                             -> pixels of the part, decoded as a part
//   resize PATH TW TH X Y W H SIMD                  -> the window of the image resized to TW x TH; SIMD is 0 or 1
//   eval   PATH RESIZE CROP LAYOUT                  -> floats; LAYOUT is 0 (NCHW) or 1 (NHWC)
//   train  PATH CROP X Y W H FLIP LAYOUT            -> floats of the crop, decoded as a part
//   bench  LISTFILE THREADS MODE ROUNDS             -> runs decode | train | eval over the files and answers the
//   seconds
// Answer: "OK <bytes> <width> <height>\n" and the bytes, or "ERR <message>\n".
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine_torch/image/image.h"
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

void Run(const Command &command) {
  const std::string &verb = command.fields.at(0);
  if (verb == "bench") {
    std::string seconds =
        std::to_string(Bench(command.fields.at(1), command.Int(2), command.fields.at(3), command.Int(4)));
    Answer(seconds.data(), seconds.size(), 0, 0);
    return;
  }
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
      transformer.Train(&reader, {command.Box(3), command.Int(7) != 0}, out.data());
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
