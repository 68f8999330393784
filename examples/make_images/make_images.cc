// Makes the quickstart's image set: JPEG files in <directory>/{train,val}/{bricks,clouds,gravel}, the same for the
// same arguments.
//
//   make_images [--train <images per class>] [--val <images per class>] [--seed <n>] <directory>
//
// Each image is a surface: bricks of any colour in grey mortar, coloured clouds, or grey gravel. Place, angle, scale,
// light, the colours, the image's size and its noise are random, so that pixels say little one by one: a linear model
// on them gets about 60 % right, where chance is 33 %. The directory appears whole or not at all; one that is there
// already is left as it is.
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

constexpr const char *kClasses[] = {"bricks", "clouds", "gravel"};
constexpr double kPi = 3.14159265358979323846;

struct Options {
  int train = 120;
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

// One channel high, one low, one anywhere, in any order.
Colour StrongColour(Random &random) {
  double channels[] = {random.Uniform(170, 240), random.Uniform(15, 80), random.Uniform(15, 240)};
  for (int i = 2; i > 0; --i) {
    std::swap(channels[i], channels[random.Integer(0, i)]);
  }
  return {channels[0], channels[1], channels[2]};
}

Colour Grey(Random &random, double low, double high) {
  const double grey = random.Uniform(low, high);
  return {grey + random.Uniform(-12, 12), grey + random.Uniform(-12, 12), grey + random.Uniform(-12, 12)};
}

Colour Mix(const Colour &a, const Colour &b, double t) {
  return {a.red + t * (b.red - a.red), a.green + t * (b.green - a.green), a.blue + t * (b.blue - a.blue)};
}

struct Image {
  int width, height;
  std::vector<double> pixels;  // red, green, blue; rows from the top

  double *At(int x, int y) {
    return &pixels[(static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)) * 3];
  }
};

// A number from 0 to 1 that belongs to a cell of a grid.
double CellValue(uint64_t seed, int64_t column, int64_t row) {
  uint64_t x =
      seed ^ (static_cast<uint64_t>(column) * 0x9E3779B97F4A7C15u) ^ (static_cast<uint64_t>(row) * 0xC2B2AE3D27D4EB4Fu);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

// Bricks: rows of half height, every other one shifted by half; lines of mortar between them. 0 is mortar, 0.5 to 1 a
// brick's own shade.
double Bricks(uint64_t seed, double u, double v) {
  const double row = std::floor(2 * v);
  const double column_position = u + (static_cast<int64_t>(row) % 2 == 0 ? 0.0 : 0.5);
  const double column = std::floor(column_position);
  const bool mortar = column_position - column < 0.1 || 2 * v - row < 0.2;
  return mortar ? 0 : 0.6 + 0.4 * CellValue(seed, static_cast<int64_t>(column), static_cast<int64_t>(row));
}

// Gravel: each point takes the shade of the nearest stone; the stones lie on a grid, each moved at random.
double Gravel(uint64_t seed, double u, double v) {
  const auto column = static_cast<int64_t>(std::floor(u));
  const auto row = static_cast<int64_t>(std::floor(v));
  double nearest = 1e9;
  double shade = 0;
  for (int64_t i = column - 1; i <= column + 1; ++i) {
    for (int64_t j = row - 1; j <= row + 1; ++j) {
      const double dx = static_cast<double>(i) + CellValue(seed + 1, i, j) - u;
      const double dy = static_cast<double>(j) + CellValue(seed + 2, i, j) - v;
      if (const double distance = dx * dx + dy * dy; distance < nearest) {
        nearest = distance;
        shade = CellValue(seed, i, j);
      }
    }
  }
  return shade;
}

// Clouds: a few long waves.
double Clouds(uint64_t seed, double u, double v) {
  double sum = 0;
  for (int64_t wave = 0; wave < 5; ++wave) {
    const double angle = 2 * kPi * CellValue(seed, wave, 0);
    const double frequency = 1.5 + 4 * CellValue(seed, wave, 1);
    sum += std::sin(frequency * (std::cos(angle) * u + std::sin(angle) * v) + 2 * kPi * CellValue(seed, wave, 2));
  }
  return std::clamp(0.5 + sum / 5, 0.0, 1.0);
}

Image Draw(int texture, Random &random) {
  const int width = random.Integer(180, 420);
  const int height = random.Integer(180, 420);
  Image image{width, height, std::vector<double>(static_cast<size_t>(width) * static_cast<size_t>(height) * 3)};
  // Bricks: any strong colour, with grey mortar. Clouds: two strong colours. Gravel: greys.
  const Colour from = texture == 1 ? StrongColour(random) : Grey(random, 20, 110);
  const Colour to = texture == 2 ? Grey(random, 170, 235) : StrongColour(random);
  const double shorter = std::min(width, height);
  // Of a brick, a stone, a sky.
  const double sizes[][2] = {{0.2, 0.35}, {1, 1}, {0.03, 0.05}};
  const double size = random.Uniform(sizes[texture][0], sizes[texture][1]) * shorter;
  const double angle = random.Uniform(0, 2 * kPi);
  const double cosine = std::cos(angle) / size;
  const double sine = std::sin(angle) / size;
  const double shift_u = random.Uniform(100, 200);
  const double shift_v = random.Uniform(100, 200);
  const auto seed = static_cast<uint64_t>(random.Integer(0, 1 << 30));
  const double light_x = random.Uniform(-0.3, 0.3) / width;
  const double light_y = random.Uniform(-0.3, 0.3) / height;
  const double noise = random.Uniform(1, 8);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double u = cosine * x - sine * y + shift_u;
      const double v = sine * x + cosine * y + shift_v;
      const double shade = texture == 0 ? Bricks(seed, u, v) : texture == 1 ? Clouds(seed, u, v) : Gravel(seed, u, v);
      const Colour colour = Mix(from, to, shade);
      const double light = 1 + light_x * (x - width / 2.0) + light_y * (y - height / 2.0);
      double *pixel = image.At(x, y);
      pixel[0] = light * colour.red + noise * random.Noise();
      pixel[1] = light * colour.green + noise * random.Noise();
      pixel[2] = light * colour.blue + noise * random.Noise();
    }
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
  for (int texture = 0; texture < 3; ++texture) {
    const std::filesystem::path folder = root / part / kClasses[texture];
    std::filesystem::create_directories(folder);
    for (int i = 0; i < count; ++i) {
      // One seed per image: a set with more images begins with the same ones.
      Random random(((options.seed * 4 + part_number) * 4 + static_cast<uint64_t>(texture)) * 1000003 +
                    static_cast<uint64_t>(i));
      char name[32];
      std::snprintf(name, sizeof name, "%04d.jpg", i);
      const Image image = Draw(texture, random);
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
