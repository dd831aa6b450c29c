// The C API's constants are the core's.
#include "capi/capi.h"
#include "vision/preprocess.h"

namespace edgecv::capi {

#define EDGECV_SAME(name, value)                                                           \
  static_assert(static_cast<int>(EDGECV_STATUS_##name) == static_cast<int>(Status::value), \
                "one set of status codes")
EDGECV_SAME(OK, kOk);
EDGECV_SAME(INVALID_ARGUMENT, kInvalidArgument);
EDGECV_SAME(IO, kIo);
EDGECV_SAME(OUT_OF_MEMORY, kOutOfMemory);
EDGECV_SAME(NOT_ECV, kNotEcv);
EDGECV_SAME(VERSION, kVersion);
EDGECV_SAME(TRUNCATED, kTruncated);
EDGECV_SAME(CHECKSUM, kChecksum);
EDGECV_SAME(CORRUPT, kCorrupt);
EDGECV_SAME(LIMIT, kLimit);
EDGECV_SAME(UNSUPPORTED, kUnsupported);
EDGECV_SAME(NAN_INPUT, kNanInput);
EDGECV_SAME(VERIFY_FAILED, kVerifyFailed);
EDGECV_SAME(WRONG_STATE, kWrongState);
EDGECV_SAME(INTERNAL, kInternal);
#undef EDGECV_SAME

static_assert(EDGECV_MAX_RANK == format::kMaxRank, "one rank limit");
static_assert(static_cast<int>(EDGECV_DTYPE_F32) == static_cast<int>(format::Dtype::kF32) &&
                  static_cast<int>(EDGECV_DTYPE_S8) == static_cast<int>(format::Dtype::kS8) &&
                  static_cast<int>(EDGECV_DTYPE_S32) == static_cast<int>(format::Dtype::kS32),
              "one set of dtypes");

static_assert(
    static_cast<int>(EDGECV_FORMAT_NV12) == static_cast<int>(vision::PixelFormat::kNv12) &&
        static_cast<int>(EDGECV_FORMAT_NV21) == static_cast<int>(vision::PixelFormat::kNv21) &&
        static_cast<int>(EDGECV_FORMAT_YUYV) == static_cast<int>(vision::PixelFormat::kYuyv) &&
        static_cast<int>(EDGECV_FORMAT_BGR) == static_cast<int>(vision::PixelFormat::kBgr) &&
        static_cast<int>(EDGECV_FORMAT_GREY) == static_cast<int>(vision::PixelFormat::kGrey),
    "one set of pixel formats");
static_assert(static_cast<int>(EDGECV_YUV_BT709_FULL) ==
                      static_cast<int>(vision::YuvColor::kBt709Full) &&
                  static_cast<int>(EDGECV_YUV_BT601_FULL) ==
                      static_cast<int>(vision::YuvColor::kBt601Full) &&
                  static_cast<int>(EDGECV_YUV_BT709) == static_cast<int>(vision::YuvColor::kBt709),
              "one set of YUV colours");

}  // namespace edgecv::capi
