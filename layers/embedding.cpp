#include "layers/core/checks.h"
#include "layers/core/share.h"
#include "layers/embedding_core.h"
#include "layers/kinds.h"
#include "layers/quant/row_pieces.h"

namespace bytegate {
namespace detail {

EmbeddingCore::EmbeddingCore(const Weight& weight) : rows(weight.rows()), cols(weight.cols()) {
  if (weight.quantized()) {
    quantized = weight.int8s();
  } else if (!weight.empty()) {
    floats = std::move(weight.floats().data);
  }
}

void EmbeddingCore::fail_index(std::int64_t index, std::size_t element) const {
  const std::string accepted = rows == 0 ? "no index, since it has no rows" : join_text({"0 to ", rows - 1});
  throw_error(ErrorCode::invalid_argument,
              {"Embedding: index ", index, " at element ", element, ", expected ", accepted});
}

}  // namespace detail

Embedding::Embedding(const Weight& weight) : core_(detail::share<detail::EmbeddingCore>(weight)) {}

Embedding Embedding::from_float(const Embedding& embedding) {
  if (embedding.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"Embedding::from_float: the layer is int8 already"});
  return Embedding(Weight::quantizing(embedding.weight(), Scheme::per_row()));
}

LayerPtr Embedding::quantize_dynamic(const Scheme&, const Backend*) const {
  return quantized() ? nullptr : detail::own(new Embedding(from_float(*this)));
}

std::int64_t Embedding::num_embeddings() const noexcept { return core_->rows; }
std::int64_t Embedding::embedding_dim() const noexcept { return core_->cols; }
bool Embedding::quantized() const noexcept { return !core_->quantized.scales.empty(); }
Shape Embedding::output_shape(const Shape& x) const { return core_->output_shape(x); }

Weight Embedding::weight() const {
  const std::int64_t rows = core_->rows, cols = core_->cols;
  if (!quantized())
    return Weight(rows, cols, Weight::FloatReader(detail::rows_in_memory(core_->floats.data(), cols, core_)));
  const QuantizedWeight& q = core_->quantized;
  return Weight(rows, cols, q.scales, Weight::Int8Reader(detail::rows_in_memory(q.data.data(), cols, core_)));
}

namespace {

void describe_embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, bool quantized,
                        LayerVisitor& visitor) {
  const auto print = quantized ? LayerField::Print::named : LayerField::Print::value;
  visitor.begin("embedding", quantized ? "QuantizedEmbedding" : "Embedding");
  visitor.field({"num_embeddings", num_embeddings, print});
  visitor.field({"embedding_dim", embedding_dim, print});
  if (!quantized) return;
  visitor.field({"dtype", "qint8", print});
  visitor.field({"qscheme", detail::qscheme(Scheme::per_row()), print, false, false});
}

Weight read_embedding(LayerSource& source) {
  const std::int64_t num_embeddings = source.size("num_embeddings", "weight", 0);
  const std::int64_t embedding_dim = source.size("embedding_dim", "weight", 1);
  source.ignore("padding_idx");
  return source.weight("weight", num_embeddings, embedding_dim);
}

}  // namespace

void Embedding::describe(LayerVisitor& visitor) const {
  describe_embedding(num_embeddings(), embedding_dim(), quantized(), visitor);
  visitor.weight("weight", weight());
}

LayerPtr detail::make_embedding(LayerSource& source) { return detail::own(new Embedding(read_embedding(source))); }

LayerOutline detail::outline_embedding(LayerSource& source) {
  read_embedding(source);
  const auto [rows, cols] = source.matrix("weight");
  check_lone_matrix(source, rows, cols);
  const auto describe = [&, rows = rows, cols = cols](LayerVisitor& visitor) {
    describe_embedding(rows, cols, false, visitor);
  };
  return {printed(describe), rows, cols, true};
}

}  // namespace bytegate
