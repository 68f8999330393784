#include "trainyard/common.h"

#include <cstdlib>
#include <cstring>

#include "capi/handles.h"
#include "util/text.h"

namespace trainyard::capi {

char *CopyString(std::string_view text) {
  auto *copy = static_cast<char *>(
      std::malloc(text.size() + 1));  // NOLINT(cppcoreguidelines-no-malloc): freed by ty_string_free
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

ty_string_list *MakeStringList(std::vector<std::string> strings) {
  return std::make_unique<ty_string_list>(ty_string_list{std::move(strings)}).release();
}

ty_string_list *MakeVersionList(const std::vector<int64_t> &versions) {
  std::vector<std::string> texts;
  for (const int64_t version : versions) texts.push_back(std::to_string(version));
  return MakeStringList(std::move(texts));
}

void CheckVersion(int64_t version) {
  if (version >= 0) return;
  throw Error::InvalidArgument("version must be 1 or more, or 0 for the latest, got " + std::to_string(version));
}

std::string OptionalString(const char *text) {
  return text == nullptr ? "" : text;
}

std::string Utf8(const char *text, const char *name) {
  require(text, name);
  if (!IsValidUtf8(text)) throw Error::InvalidArgument(std::string(name) + " is not valid UTF-8", {{"argument", name}});
  return text;
}

std::string OptionalUtf8(const char *text, const char *name) {
  return text == nullptr ? "" : Utf8(text, name);
}

std::shared_ptr<void> OwnUserData(void *user_data, ty_destroy destroy) {
  return {user_data, [destroy](void *data) {
            if (destroy != nullptr) destroy(data);
          }};
}

}  // namespace trainyard::capi

extern "C" {

void ty_string_free(char *string) noexcept {
  std::free(string);  // NOLINT(cppcoreguidelines-no-malloc)
}

size_t ty_string_list_size(const ty_string_list *list) noexcept {
  return list == nullptr ? 0 : list->strings.size();
}

const char *ty_string_list_get(const ty_string_list *list, size_t index) noexcept {
  return list == nullptr || index >= list->strings.size() ? nullptr : list->strings[index].c_str();
}

void ty_string_list_free(ty_string_list *list) noexcept {
  std::unique_ptr<ty_string_list>{list};
}

}  // extern "C"
