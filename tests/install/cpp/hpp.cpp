// edgecv.hpp as a program sees it: hpp MODEL.ecv. Prints "good" when every check held.
#include <cstdio>
#include <cstring>
#include <edgecv/edgecv.hpp>

edgecv::Result<edgecv::Model> load_elsewhere(const char* path);

namespace {

int failures = 0;

void check(bool good, const char* what) {
  if (!good) {
    std::printf("failed: %s\n", what);
    ++failures;
  }
}

edgecv::Result<edgecv::Session> session_of_a_lost_model(const char* path) {
  edgecv::Result<edgecv::Model> model = edgecv::Model::load(path);
  return edgecv::Session::create(*model);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  check(edgecv_api_version() == EDGECV_API_VERSION, "the version of the header");

  edgecv::Result<edgecv::Model> missing = edgecv::Model::load("/no/such/file.ecv");
  check(!missing, "a missing file fails");
  check(missing.error().status() == EDGECV_STATUS_IO, "status of a missing file");
  check(std::strstr(missing.error().text(), "/no/such/file.ecv") != nullptr, "text of it");
  check(missing->get() == nullptr, "no handle without a model");
  check(static_cast<bool>(edgecv::Model().verify()), "an empty model is an error, not a crash");

  edgecv::LoadOptions options;
  options.max_work = 1;
  check(edgecv::Model::load(argv[1], options).error().status() == EDGECV_STATUS_LIMIT, "options");

  edgecv::Result<edgecv::Model> loaded = load_elsewhere(argv[1]);
  if (!loaded) {
    std::printf("%s\n", loaded.error().text());
    return 1;
  }
  edgecv::Model model = *std::move(loaded);
  check(!model.verify(), "verify");
  check(model.info() && model.info()->input_count == 1, "info");
  check(model.input(0) && std::strcmp(model.input(0)->name, "image") == 0, "input");
  check(!model.input(1), "no second input");
  check(model.meta("labels") != nullptr && model.meta("nothing") == nullptr, "meta");

  edgecv::Result<edgecv::Session> first = edgecv::Session::create(model);
  edgecv::Result<edgecv::Session> second = session_of_a_lost_model(argv[1]);
  check(first && second, "sessions");
  check(first->run().status() == EDGECV_STATUS_WRONG_STATE, "a run without input");
  check(edgecv::Session().run().status() == EDGECV_STATUS_INVALID_ARGUMENT, "an empty session");

  std::uint8_t pixels[7 * 30];
  for (unsigned i = 0; i < sizeof(pixels); ++i) pixels[i] = static_cast<std::uint8_t>(i * i * 31);
  const edgecv_image picture = edgecv::image(pixels, 9, 7, 30);
  float scores[2][5] = {};
  edgecv::Session* sessions[2] = {&*first, &*second};
  for (int i = 0; i < 2; ++i) {
    check(!sessions[i]->set_image(0, picture), "set_image");
    check(!sessions[i]->run(), "run");
    check(!sessions[i]->get_output(0, scores[i], 5), "get_output");
  }
  check(std::memcmp(scores[0], scores[1], sizeof(scores[0])) == 0, "two sessions agree");
  float total = 0;
  for (const float score : scores[0]) total += score;
  check(total > 0.9f && total < 1.1f, "scores of a softmax");
  check(static_cast<bool>(first->get_output(0, scores[0], 4)), "a wrong size is an error");
  const edgecv::Result<edgecv::Buffer<const float>> mapped = first->map_output<float>(0);
  check(mapped && mapped->size == 5 && std::memcmp(mapped->data, scores[0], 20) == 0, "map_output");
  check(!first->map_output<std::int8_t>(0), "a wrong type is an error");
  check(first->map_output<std::int32_t>(1) && first->map_output<std::int32_t>(1)->size == 1, "s32");

  edgecv::Result<edgecv::Buffer<float>> input = first->map_input<float>(0);
  check(input && input->size == 108, "map_input");
  for (float& value : *input) value = 0.25f;
  check(!first->run(), "a run on mapped memory");
  check(!first->get_output(0, scores[0], 5), "its output");
  float values[108];
  for (float& value : values) value = 0.25f;
  check(!second->set_input(0, values, 108), "set_input");
  check(!second->run() && !second->get_output(0, scores[1], 5), "a run on set values");
  check(std::memcmp(scores[0], scores[1], sizeof(scores[0])) == 0, "mapped and set inputs agree");

  edgecv::Session moved = *std::move(first);
  check(first->get() == nullptr && moved.get() != nullptr, "a session moves");
  moved = *std::move(second);
  check(!moved.set_input(0, values, 108) && !moved.run(), "and is assigned");
  if (failures == 0) std::printf("good\n");
  return failures == 0 ? 0 : 1;
}
