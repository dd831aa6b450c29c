// The header in a second translation unit: its functions must not collide.
#include <edgecv/edgecv.hpp>

edgecv::Result<edgecv::Model> load_elsewhere(const char* path) { return edgecv::Model::load(path); }
