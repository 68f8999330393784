// Makes the quickstart's image set: JPEG files in <directory>/{train,val}/{circles,crosses,triangles}, the same for the
// same arguments.
//
//   make_images [--train <images per class>] [--val <images per class>] [--seed <n>] <directory>
//
// Each image shows three to six shapes of its class. Their number, place, size, angle and colour, the background's
// colours, the image's size and its noise are random, and a shape covers the same area in each class, so that no pixel
// and no mean colour tells the class. The directory appears whole or not at all; one that is there already is left as
// it is.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

// After <cstdio>: this header takes FILE and size_t for granted.
#include <jpeglib.h>

namespace {

constexpr const char *kClasses[] = {"circles", "crosses", "triangles"};
constexpr double kPi = 3.14159265358979323846;

struct Options {
  int train = 80;
  int val = 30;
  uint64_t seed = 1;
  std::filesystem::path directory;
};

// The standard fixes mt19937_64's numbers but not those of its distributions, so these are made here.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  double Uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(engine_() >> 11) * 0x1p-53;
  }
  int Integer(int low, int high) { return low + static_cast<int>(engine_() % static_cast<uint64_t>(high - low + 1)); }
  // Sum of four uniforms: near enough to normal for noise, mean 0, deviation 1.
  double Noise() { return (Uniform(-1, 1) + Uniform(-1, 1) + Uniform(-1, 1) + Uniform(-1, 1)) * 0.8660254; }

 private:
  std::mt19937_64 engine_;
};

struct Colour {
  double red, green, blue;
};

double Distance(const Colour &a, const Colour &b) {
  return std::abs(a.red - b.red) + std::abs(a.green - b.green) + std::abs(a.blue - b.blue);
}

Colour RandomColour(Random &random) {
  return {random.Uniform(20, 235), random.Uniform(20, 235), random.Uniform(20, 235)};
}

struct Image {
  int width, height;
  std::vector<double> pixels;  // red, green, blue; rows from the top

  double *At(int x, int y) {
    return &pixels[(static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)) * 3];
  }
};

double BoxDistance(double x, double y, double half_width, double half_height) {
  return std::max(std::abs(x) - half_width, std::abs(y) - half_height);
}

// How far (x, y) lies outside a shape of area 1 around the origin; negative inside.
double ShapeDistance(int shape, double x, double y) {
  switch (shape) {
    case 0:
      return std::hypot(x, y) - std::sqrt(1 / kPi);
    case 1: {
      const double reach = 1 / std::sqrt(2.04);  // arms 0.3 of their reach: area 2.04 reach^2
      return std::min(BoxDistance(x, y, reach, 0.3 * reach), BoxDistance(x, y, 0.3 * reach, reach));
    }
    default: {
      const double inner = 1 / std::sqrt(3 * std::sqrt(3.0));  // equilateral: area 3 sqrt(3) inner^2
      const double side = std::sqrt(3.0) / 2;
      return std::max({-y, side * x + 0.5 * y, -side * x + 0.5 * y}) - inner;
    }
  }
}

void DrawShape(Image &image, int shape, double centre_x, double centre_y, double size, double angle,
               const Colour &colour) {
  const double reach = size * 0.95;  // no shape of area 1 reaches farther than 0.88
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  const int left = std::max(0, static_cast<int>(centre_x - reach));
  const int right = std::min(image.width - 1, static_cast<int>(centre_x + reach) + 1);
  const int top = std::max(0, static_cast<int>(centre_y - reach));
  const int bottom = std::min(image.height - 1, static_cast<int>(centre_y + reach) + 1);
  for (int y = top; y <= bottom; ++y) {
    for (int x = left; x <= right; ++x) {
      const double dx = (x - centre_x) / size;
      const double dy = (y - centre_y) / size;
      const double outside = ShapeDistance(shape, cosine * dx - sine * dy, sine * dx + cosine * dy) * size;
      const double cover = std::clamp(0.5 - outside, 0.0, 1.0);
      double *pixel = image.At(x, y);
      pixel[0] += cover * (colour.red - pixel[0]);
      pixel[1] += cover * (colour.green - pixel[1]);
      pixel[2] += cover * (colour.blue - pixel[2]);
    }
  }
}

Image Draw(int shape, Random &random) {
  const int width = random.Integer(180, 420);
  const int height = random.Integer(180, 420);
  Image image{width, height, std::vector<double>(static_cast<size_t>(width) * static_cast<size_t>(height) * 3)};
  // The background runs from one colour to another, in any direction.
  const Colour from = RandomColour(random);
  const Colour to = RandomColour(random);
  const double direction = random.Uniform(0, 2 * kPi);
  const double across = std::cos(direction) / width;
  const double down = std::sin(direction) / height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double t = std::clamp(0.5 + (x - width / 2.0) * across + (y - height / 2.0) * down, 0.0, 1.0);
      double *pixel = image.At(x, y);
      pixel[0] = from.red + t * (to.red - from.red);
      pixel[1] = from.green + t * (to.green - from.green);
      pixel[2] = from.blue + t * (to.blue - from.blue);
    }
  }
  const int count = random.Integer(3, 6);
  for (int i = 0; i < count; ++i) {
    Colour colour = RandomColour(random);
    while (Distance(colour, from) < 150 || Distance(colour, to) < 150) {
      colour = RandomColour(random);
    }
    const double size = random.Uniform(0.2, 0.42) * std::min(width, height);
    const double x = random.Uniform(0.12, 0.88) * width;
    const double y = random.Uniform(0.12, 0.88) * height;
    DrawShape(image, shape, x, y, size, random.Uniform(0, 2 * kPi), colour);
  }
  const double noise = random.Uniform(2, 18);
  for (double &value : image.pixels) {
    value += noise * random.Noise();
  }
  return image;
}

void WriteJpeg(const Image &image, int quality, const std::filesystem::path &path) {
  std::FILE *file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) {
    throw std::runtime_error("cannot write '" + path.string() + "'");
  }
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<JSAMPLE> row(static_cast<size_t>(image.width) * 3);
  while (jpeg.next_scanline < jpeg.image_height) {
    const double *pixels = &image.pixels[jpeg.next_scanline * row.size()];
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = static_cast<JSAMPLE>(std::clamp(pixels[i], 0.0, 255.0));
    }
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  if (std::fclose(file) != 0) {
    throw std::runtime_error("cannot write '" + path.string() + "': disk full?");
  }
}

void MakePart(const Options &options, const std::filesystem::path &root, const std::string &part, int count,
              uint64_t part_number) {
  for (int shape = 0; shape < 3; ++shape) {
    const std::filesystem::path folder = root / part / kClasses[shape];
    std::filesystem::create_directories(folder);
    for (int i = 0; i < count; ++i) {
      // One seed per image: a set with more images begins with the same ones.
      Random random(((options.seed * 4 + part_number) * 4 + static_cast<uint64_t>(shape)) * 1000003 +
                    static_cast<uint64_t>(i));
      char name[32];
      std::snprintf(name, sizeof name, "%04d.jpg", i);
      const Image image = Draw(shape, random);
      WriteJpeg(image, random.Integer(75, 95), folder / name);
    }
  }
}

Options ParseOptions(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--train" && has_value) {
      options.train = std::atoi(argv[++i]);  // NOLINT(cert-err34-c): checked below
    } else if (argument == "--val" && has_value) {
      options.val = std::atoi(argv[++i]);  // NOLINT(cert-err34-c): checked below
    } else if (argument == "--seed" && has_value) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument.rfind("--", 0) != 0 && options.directory.empty()) {
      options.directory = argument;
    } else {
      throw std::runtime_error("unknown argument '" + argument + "'");
    }
  }
  if (options.directory.empty() || options.train < 1 || options.val < 1) {
    throw std::runtime_error(
        "usage: make_images [--train <images per class>] [--val <images per class>] [--seed <n>] <directory>");
  }
  return options;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    const Options options = ParseOptions(argc, argv);
    if (std::filesystem::exists(options.directory)) {
      return 0;
    }
    std::filesystem::path part = options.directory;
    part += ".part";
    std::filesystem::remove_all(part);
    MakePart(options, part, "train", options.train, 0);
    MakePart(options, part, "val", options.val, 1);
    std::filesystem::rename(part, options.directory);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "make_images: %s\n", error.what());
    return 1;
  }
}
