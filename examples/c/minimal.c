/* The five best classes of a picture: minimal MODEL.ecv PICTURE.ppm (binary PPM, "P6"). */
#include <edgecv/edgecv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const edgecv_error* error) {
  fprintf(stderr, "minimal: %s: %s\n", edgecv_status_name(error->status), error->text);
  return 1;
}

/* The start of line n of `labels`, or "". */
static const char* label(const char* labels, unsigned n) {
  for (; labels != NULL && n > 0; --n) labels = (labels = strchr(labels, '\n')) ? labels + 1 : NULL;
  return labels != NULL ? labels : "";
}

int main(int argc, char** argv) {
  edgecv_model* model = NULL;
  edgecv_session* session = NULL;
  edgecv_error error;
  edgecv_image image = {sizeof(image), NULL, 0, 0, 0};
  edgecv_port_info output = {sizeof(output)};
  FILE* file = argc == 3 ? fopen(argv[2], "rb") : NULL;
  if (file == NULL || fscanf(file, "P6 %d %d 255", &image.width, &image.height) != 2 ||
      fgetc(file) == EOF || image.width < 1 || image.height < 1) {
    fprintf(stderr, "usage: minimal MODEL.ecv PICTURE.ppm\n");
    return 2;
  }
  image.stride = 3 * (size_t)image.width;
  const size_t bytes = image.stride * (size_t)image.height;
  unsigned char* pixels = malloc(bytes);
  image.pixels = pixels;
  if (pixels == NULL || fread(pixels, 1, bytes, file) != bytes) return 1;
  if (edgecv_model_load(argv[1], NULL, &model, &error) != EDGECV_STATUS_OK ||
      edgecv_model_output(model, 0, &output, &error) != EDGECV_STATUS_OK ||
      edgecv_session_create(model, &session, &error) != EDGECV_STATUS_OK ||
      edgecv_session_set_image(session, 0, 0, &image, &error) != EDGECV_STATUS_OK ||
      edgecv_session_run(session, &error) != EDGECV_STATUS_OK)
    return failed(&error);

  const size_t size = output.elements * sizeof(float);
  float* scores = malloc(size);
  if (edgecv_session_get_output(session, 0, scores, size, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API,
                                &error) != EDGECV_STATUS_OK)
    return failed(&error);
  for (unsigned place = 0; place < 5 && place < output.elements; ++place) {
    unsigned best = 0;
    for (unsigned i = 1; i < output.elements; ++i) best = scores[i] > scores[best] ? i : best;
    const char* name = label(edgecv_model_meta(model, "labels", NULL), best);
    printf("%u %.6f %.*s\n", best, (double)scores[best], (int)strcspn(name, "\n"), name);
    scores[best] = -3.4e38f; /* so that the next place goes to the next best */
  }
  edgecv_session_destroy(session);
  edgecv_model_destroy(model);
  free(scores);
  free(pixels);
  fclose(file);
  return 0;
}
