// Which parts of an environment hold credentials.
#include "core/environment.h"
#include "util/error.h"
#include "util/text.h"
#include "util/url.h"

namespace trainyard {
namespace {

constexpr char kForPip[] = "pip's own configuration (pip.conf, ~/.netrc, the variable PIP_INDEX_URL)";
constexpr char kForConda[] = "conda's own configuration (~/.condarc, ~/.netrc)";
constexpr char kForImage[] = "ty_environment_set_registry_credentials";
constexpr char kForContainer[] = "the configuration of the container engine or of the base image";

// A variable's name in the place of a value, as pip, conda and shells put it.
bool IsVariable(std::string_view text) {
  return text.starts_with('$');
}

// "git@" is the name that everybody has at a git server, and with ssh the key is the secret.
bool IsSecretUser(std::string_view scheme, std::string_view user) {
  const size_t colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  const std::string_view password = colon == std::string_view::npos ? "" : user.substr(colon + 1);
  if (!password.empty()) return !IsVariable(password);
  return !name.empty() && !IsVariable(name) && name != "git" && scheme.find("ssh") == std::string_view::npos;
}

// Of conda's channels on servers each token counts; elsewhere "/t/" may be a directory.
bool IsSecretUrl(std::string_view url, bool of_conda) {
  const std::string_view token = CondaTokenOf(url);
  const bool local = url.starts_with('/') || url.starts_with('.') || url.starts_with('~') || url.starts_with("file:");
  if (of_conda && !local && !token.empty() && !IsVariable(token)) return true;
  const size_t mark = url.find("://");
  const std::string_view scheme = url.substr(0, mark);
  if (IsSecretUser(scheme, UserOfUrl(url))) return true;
  if (HasCredentials("https://host/t/" + std::string(token) + "/")) return true;
  const size_t query = url.find('?');
  return query != std::string_view::npos && HasCredentials("https://host/" + std::string(url.substr(query)));
}

[[noreturn]] void Refuse(const std::string &what, std::string_view text, const char *instead) {
  std::string masked(text);
  const std::string_view token = CondaTokenOf(text);
  if (!token.empty()) masked.replace(static_cast<size_t>(token.data() - text.data()), token.size(), kTakenOut);
  const std::string shown(TruncateUtf8(MaskUrls(masked), 200));
  throw Error::InvalidArgument(what + " '" + shown +
                               "' holds credentials, which would be kept with the environment in the workspace: take "
                               "them out, and give them by " +
                               instead);
}

void CheckText(const std::string &what, const std::string &text, const char *instead, bool of_conda = false) {
  for (const std::string_view url : UrlsIn(text)) {
    if (IsSecretUrl(url, of_conda)) Refuse(what, url, instead);
  }
}

void CheckChannel(const std::string &channel) {
  CheckText("conda channel", channel, kForConda, /*of_conda=*/true);
  if (channel.find("://") != std::string::npos) return;
  if (HasCredentials(channel) || IsSecretUrl(channel, /*of_conda=*/true))
    Refuse("conda channel", MaskCredentials(channel), kForConda);
}

// "name:tag@sha256:..." is no user.
void CheckImage(const std::string &image) {
  CheckText("base image", image, kForImage);
  const size_t user_end = image.find('@');
  if (user_end == std::string::npos || image.find("://") != std::string::npos) return;
  const std::string_view behind = std::string_view(image).substr(user_end + 1);
  const size_t colon = behind.find(':');
  const std::string_view digest = colon == std::string_view::npos ? "" : behind.substr(colon + 1);
  if (digest.size() >= 32 && digest.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos) return;
  Refuse("base image", kTakenOut + std::string("@") + std::string(behind), kForImage);
}

}  // namespace

void Environment::CheckCredentials() const {
  CheckImage(base_image);
  CheckText("in the Dockerfile,", dockerfile, kForContainer);
  for (const std::string &argument : container_arguments) CheckText("container argument", argument, kForContainer);
  CheckText("in the conda file,", conda_file, kForConda, /*of_conda=*/true);
  for (const std::string &package : conda_packages) CheckText("conda package", package, kForConda, /*of_conda=*/true);
  for (const std::string &channel : conda_channels) CheckChannel(channel);
  // With its comments: they are kept as well.
  CheckText("in the pip requirements,", pip_requirements, kForPip);
  for (const std::string &package : pip_packages) CheckText("pip package", package, kForPip);
}

}  // namespace trainyard
