#include "runtime/views.h"

namespace edgecv::runtime {
namespace {

using format::kAbsent;
using format::OpRecord;
using format::ParsedModel;
using format::TensorRecord;
using ops::last_dim;
using ops::OpCode;

int64_t pixel_count(const TensorRecord& tensor) {
  return format::element_count(tensor) / last_dim(tensor);
}

// Kernels of these ops take pixel strides (kernels/conv.h, pool.h, resize.h, elementwise.h), or
// are moves.
bool reads_gaps(OpCode code) {
  switch (code) {
    case OpCode::kConv2d:
    case OpCode::kConvTranspose2d:
    case OpCode::kFullyConnected:
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kDiv:
    case OpCode::kLookup:
    case OpCode::kUnary:
    case OpCode::kMaxPool2d:
    case OpCode::kAveragePool2d:
    case OpCode::kConcat:
    case OpCode::kSlice:
    case OpCode::kPad:
    case OpCode::kTranspose:
    case OpCode::kResize2d:
    case OpCode::kQuantize:
    case OpCode::kDequantize:
      return true;
    default:
      return false;
  }
}

// A Pad fills all bytes between its first and its last.
bool writes_gaps(OpCode code) { return reads_gaps(code) && code != OpCode::kPad; }

class ViewFinder {
 public:
  ViewFinder(const ParsedModel& model, const Allocator& allocator)
      : model_(model), nodes_(allocator), path_(allocator) {}

  bool find(bool share) {
    if (!nodes_.resize(model_.tensors.size())) return false;
    for (Node& node : nodes_) node = Node{kAbsent, true, 0, 0, false, false};
    find_needs();
    for (const OpRecord& op : model_.ops) {
      if (ops::is_alias(model_, op)) {
        place_alias(op);
      } else if (share && op.code == static_cast<uint16_t>(OpCode::kSlice)) {
        place_slice(op);
      } else if (share && op.code == static_cast<uint16_t>(OpCode::kConcat)) {
        place_parts(op);
      }
    }
    return true;
  }

  bool make_views(Array<ops::View>* views) {
    if (!views->resize(nodes_.size()) || !path_.resize(nodes_.size())) return false;
    for (ops::View& view : *views) view.root = kAbsent;
    for (uint32_t t = 0; t < nodes_.size(); ++t) {
      size_t length = 0;
      for (uint32_t at = t; (*views)[at].root == kAbsent; at = nodes_[at].parent) {
        path_[length++] = at;
        if (nodes_[at].parent == kAbsent) break;
      }
      for (size_t i = length; i-- > 0;) {
        const uint32_t at = path_[i];
        const Node& node = nodes_[at];
        ops::View& view = (*views)[at];
        view = ops::View{at, 0, last_dim(record(at))};
        if (node.parent == kAbsent) continue;
        const ops::View& above = (*views)[node.parent];
        view.root = above.root;
        view.offset = above.offset + (node.pixel * above.stride + node.channel) *
                                         format::dtype_bytes(record(at).dtype);
        if (node.pixelwise) view.stride = above.stride;
      }
    }
    return true;
  }

 private:
  // Where a tensor lies in its parent: its pixel p is the parent's pixel p + `pixel`, from
  // `channel` on. When not pixelwise, both are dense and its bytes begin there.
  struct Node {
    uint32_t parent;
    bool pixelwise;
    int64_t pixel, channel;
    bool dense;   // this tensor, or one in it that has whole pixels of it, must have no gaps
    bool pinned;  // not part of another: constants, and what the caller sees
  };

  const TensorRecord& record(uint32_t tensor) const { return model_.tensors[tensor]; }
  bool can_have_gaps(uint32_t tensor) const {
    return !nodes_[tensor].dense || pixel_count(record(tensor)) == 1;
  }

  void find_needs() {
    for (const format::PortRecord& port : model_.ports)
      nodes_[port.tensor].dense = nodes_[port.tensor].pinned = true;
    for (size_t i = model_.ops.size(); i-- > 0;) {  // readers before writers
      const OpRecord& op = model_.ops[i];
      const OpCode code = static_cast<OpCode>(op.code);
      const bool alias = ops::is_alias(model_, op);
      Node& out = nodes_[op.output];
      if (!alias && !writes_gaps(code)) out.dense = true;
      for (uint32_t k = 0; k < op.input_count; ++k) {
        const uint32_t id = model_.input_id(op, k);
        if (id == kAbsent) continue;
        Node& in = nodes_[id];
        in.pinned = in.pinned || model_.is_constant(id) || (alias && out.pinned);
        if (alias) {
          in.dense = in.dense || out.dense || last_dim(record(id)) != last_dim(record(op.output));
        } else {
          in.dense = in.dense || !reads_gaps(code);
        }
      }
    }
  }

  void attach(uint32_t child, uint32_t parent, bool pixelwise, int64_t pixel, int64_t channel) {
    Node& node = nodes_[child];
    node.parent = parent;
    node.pixelwise = pixelwise;
    node.pixel = pixel;
    node.channel = channel;
    // Whole pixels have gaps between them when the parent's have.
    for (uint32_t at = child; nodes_[at].parent != kAbsent; at = nodes_[at].parent) {
      Node& above = nodes_[nodes_[at].parent];
      const bool whole = last_dim(record(at)) == last_dim(record(nodes_[at].parent));
      if (nodes_[at].pixelwise && !(whole && nodes_[at].dense)) break;
      if (above.dense) break;
      above.dense = true;
    }
  }

  // The outermost tensor that holds `tensor` by pixels, and where; makes it the parent of all on
  // the way.
  uint32_t top(uint32_t tensor, int64_t* pixel, int64_t* channel) {
    uint32_t top = tensor;
    *pixel = *channel = 0;
    for (; nodes_[top].parent != kAbsent && nodes_[top].pixelwise; top = nodes_[top].parent) {
      *pixel += nodes_[top].pixel;
      *channel += nodes_[top].channel;
    }
    int64_t rest_pixel = *pixel, rest_channel = *channel;
    for (uint32_t at = tensor; at != top;) {
      Node& node = nodes_[at];
      const Node old = node;
      node.parent = top;
      node.pixel = rest_pixel;
      node.channel = rest_channel;
      rest_pixel -= old.pixel;
      rest_channel -= old.channel;
      at = old.parent;
    }
    return top;
  }

  void place_alias(const OpRecord& op) {
    int64_t pixel, channel;
    const uint32_t x = top(model_.input_id(op, 0), &pixel, &channel);
    const bool same = last_dim(record(model_.input_id(op, 0))) == last_dim(model_.output(op));
    if (same) {
      attach(op.output, x, true, pixel, channel);
    } else if (pixel == 0 && channel == 0 && nodes_[x].parent != kAbsent &&
               x == model_.input_id(op, 0)) {
      attach(op.output, nodes_[x].parent, false, 0, 0);  // x is not there by pixels either
    } else {
      attach(op.output, model_.input_id(op, 0), false, 0, 0);
    }
  }

  void place_slice(const OpRecord& op) {
    const uint32_t id = model_.input_id(op, 0);
    const TensorRecord &in = record(id), &out = model_.output(op);
    if (model_.is_constant(id) || nodes_[op.output].pinned) return;
    // Pixels that follow each other: some of one axis, one of each before, all of those behind.
    const int last = in.rank - 1;
    int axis = last - 1;
    while (axis >= 0 && out.dims[axis] == in.dims[axis]) --axis;
    int64_t start = 0;
    for (int i = 0; i < last; ++i) {
      start = start * in.dims[i] + op.ints[i];
      if (i < axis && out.dims[i] != 1) return;
    }
    for (int i = 0; i <= last; ++i) {
      if (out.dims[i] > 1 && op.ints[format::kMaxRank + i] != 1) return;
    }
    int64_t pixel, channel;
    const uint32_t x = top(id, &pixel, &channel);
    if (last_dim(out) != last_dim(record(x)) && !can_have_gaps(op.output)) return;
    attach(op.output, x, true, pixel + start, channel + op.ints[last]);
  }

  // The parts of a concat of channels, or of an axis with nothing but ones before it.
  void place_parts(const OpRecord& op) {
    const TensorRecord& y = model_.output(op);
    const int axis = op.ints[0];
    Parts parts = {op, axis == y.rank - 1, 1};
    for (int i = 0; i < y.rank - 1 && !parts.by_channel; ++i) {
      if (i < axis && y.dims[i] != 1) return;
      if (i > axis) parts.unit *= y.dims[i];
    }
    int64_t begin = 0;
    uint32_t refused = kAbsent;
    for (uint32_t i = 0; i < op.input_count; ++i) {
      int64_t pixel, channel;
      const uint32_t x = top(model_.input_id(op, i), &pixel, &channel);
      if (x != refused && !place_part(parts, i, begin)) refused = x;
      begin += part_length(parts, i);
    }
  }

  struct Parts {
    const OpRecord& op;
    bool by_channel;
    int64_t unit;  // pixels of one entry of the axis
  };

  // In channels or in pixels.
  int64_t part_length(const Parts& parts, uint32_t i) const {
    return record(model_.input_id(parts.op, i)).dims[parts.op.ints[0]] * parts.unit;
  }

  // Part i begins at channel or pixel `begin`. False when it stays where it is.
  bool place_part(const Parts& parts, uint32_t i, int64_t begin) {
    const uint32_t y = parts.op.output;
    int64_t pixel, channel;
    const uint32_t x = top(model_.input_id(parts.op, i), &pixel, &channel);
    if (x == y) return true;
    if (nodes_[x].parent != kAbsent) return place_bytes(parts, i, begin);
    if (nodes_[x].pinned) return false;
    const int64_t at_pixel = (parts.by_channel ? 0 : begin) - pixel;
    const int64_t at_channel = (parts.by_channel ? begin : 0) - channel;
    const int64_t channels = last_dim(record(x)), all_channels = last_dim(record(y));
    const int64_t pixels = pixel_count(record(x)), all_pixels = pixel_count(record(y));
    if (at_pixel < 0 || at_pixel + pixels > all_pixels) return false;
    if (at_channel < 0 || at_channel + channels > all_channels) return false;
    if (parts.by_channel ? pixels != all_pixels : channels != all_channels) return false;
    if (channels != all_channels && !can_have_gaps(x)) return false;
    // All of x comes to lie in y: what y wants there has to be x.
    const int64_t from = parts.by_channel ? at_channel : at_pixel;
    const int64_t to = from + (parts.by_channel ? channels : pixels);
    int64_t at = begin;
    for (uint32_t k = i; at > from;) {
      at -= part_length(parts, --k);
      if (!lies_at(parts, k, x, at - from)) return false;
    }
    at = begin;
    for (uint32_t k = i; at < to; at += part_length(parts, k++)) {
      if (!lies_at(parts, k, x, at - from)) return false;
    }
    attach(x, y, true, at_pixel, at_channel);
    return true;
  }

  // The same for a part with the bytes of a tensor of other pixels.
  bool place_bytes(const Parts& parts, uint32_t i, int64_t begin) {
    const uint32_t part = model_.input_id(parts.op, i), y = parts.op.output;
    const Node& node = nodes_[part];
    if (node.parent == kAbsent || node.pixelwise) return false;
    const Node& whole = nodes_[node.parent];
    if (whole.pinned || whole.parent != kAbsent) return false;
    if (parts.by_channel && pixel_count(record(y)) != 1) return false;
    attach(node.parent, y, false, parts.by_channel ? 0 : begin, parts.by_channel ? begin : 0);
    return true;
  }

  // Part k lies in x, `at` channels or pixels from its begin.
  bool lies_at(const Parts& parts, uint32_t k, uint32_t x, int64_t at) {
    int64_t pixel, channel;
    return top(model_.input_id(parts.op, k), &pixel, &channel) == x &&
           (parts.by_channel ? channel : pixel) == at && (parts.by_channel ? pixel : channel) == 0;
  }

  const ParsedModel& model_;
  Array<Node> nodes_;
  Array<uint32_t> path_;
};

}  // namespace

Status find_views(const ParsedModel& model, bool share, const Allocator& allocator,
                  Array<ops::View>* views, Error* error) {
  ViewFinder finder(model, allocator);
  if (!finder.find(share) || !finder.make_views(views))
    return fail(error, Status::kOutOfMemory, "no memory for the views");
  return Status::kOk;
}

}  // namespace edgecv::runtime
