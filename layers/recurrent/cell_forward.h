// One layer and direction of a call: the schedule over its steps, apart from what a step computes.
#pragma once

#include "layers/core/range.h"
#include "layers/quant/activation_quantizer.h"
#include "layers/recurrent/forward_call.h"
#include "layers/recurrent/recurrent_core.h"

namespace bytegate::detail {

/// The sequences that one layer and direction reads and writes.
struct CellSequences {
  SequenceView x;
  std::size_t x_width;
  SequenceView y;  ///< this direction's features
  bool reverse;
  bool stage_whole_input;  ///< before anything is written: y is x, and another direction reads it too
};

class CellForward {
 public:
  CellForward(const ForwardCall& call, const ThreadTeam& team, const PackedCell& cell, const CellSequences& sequences);
  virtual ~CellForward() = default;

  /// Allocates what a call needs, so that constructing and running it later allocates nothing.
  static void reserve(const ForwardCall& call, const PackedCell& cell, const CellSequences& sequences);

  /// Uses the input as the other direction staged it. Both have stage_whole_input.
  void share_input(const CellForward& other);

  /// All steps. `index` is the number of this layer and direction in state tensors.
  void run(const RecurrentArgs& args, std::size_t index);

 protected:
  /// After h_ and state_ have been set from the caller's state.
  virtual void begin() = 0;
  /// One step: state and h of the first `active` rows from `gates`, their input product, which it may overwrite. Ends
  /// with h in the output.
  virtual void step(std::size_t t, std::size_t active, float* gates) = 0;
  /// Whether `step` writes h straight into the output, where the next step finds it.
  virtual bool writes_output_in_place() const noexcept = 0;

  bool projected() const noexcept { return cell_.hr.has_value(); }
  bool is_last_step(std::size_t t) const noexcept { return sequences_.reverse ? t == 0 : t + 1 == call_.steps; }
  /// Whether the weights come from memory in each step: all of the layer are read from one step to the next, or, in a
  /// call of several, these alone.
  bool from_memory(const PackedWeights& weights) const noexcept;
  /// Copies h_ of the first `active` rows to the output at step t.
  void store_output(std::size_t t, std::size_t active) const;

  const ForwardCall& call_;
  const ThreadTeam& team_;
  const PackedCell& cell_;
  const CellSequences& sequences_;
  std::size_t padded_units_;  ///< to whole panels
  Range panels_;              ///< of this thread
  ActivationQuantizer input_quantizer_;
  StagedRows staged_h_{}, staged_unprojected_h_{};
  RowRange* ranges_ = nullptr;      ///< [batch] of h
  float* h_ = nullptr;              ///< [batch, out_size], rows in the call's order
  float* state_ = nullptr;          ///< [batch, padded units] what the kind carries: c or h; null if nothing
  float* unprojected_h_ = nullptr;  ///< [batch, padded units]; null without a projection
  float* scratch_row_ = nullptr;    ///< for ActivationQuantizer::stage
  float* torch_sums_ = nullptr;     ///< [batch, padded channels]; null but for a torch scheme

 private:
  RowRange find_input_range() const;
  void stage_input(std::size_t first, std::size_t last);
  void load_state(const RecurrentArgs& args, std::size_t index);
  void store_state(const RecurrentArgs& args, std::size_t index) const;

  float* gates_ = nullptr;  ///< [chunk steps * batch, padded channels]
  StagedRows input_{};
  bool input_is_staged_ = false;
};

/// Steps by the backend's fused kernel. Float weights, and int8 with a scale a row.
class KernelCellForward final : public CellForward {
 public:
  KernelCellForward(const ForwardCall& call, const ThreadTeam& team, const PackedCell& cell,
                    const CellSequences& sequences);

 private:
  /// A kernel and its operands, of which a step sets what differs from the step before. A step is one or two of them,
  /// the second on what the first returned.
  struct Phase {
    void (*kernel)(const RecurrentStepArgs* args);
    RecurrentStepArgs args;
  };

  void begin() override;
  void step(std::size_t t, std::size_t active, float* gates) override;
  bool writes_output_in_place() const noexcept override { return !call_.permuted(); }

  Phase make_phase(Cell cell, const PackedWeights& weights) const;
  void run_phase(Phase& phase, std::size_t t, std::size_t active, float* gates, float* h, std::size_t h_stride);
  void merge_team_ranges(std::size_t active);
  void project(std::size_t active, float* h, std::size_t h_stride);

  ActivationQuantizer quantizer_;
  Phase phases_[2];
  std::size_t phase_count_;
  std::size_t kernel_calls_ = 0;
};

/// Steps in PyTorch's arithmetic (layers/quant/torch_arithmetic.h), for the torch schemes. Made for agreement, not for
/// speed.
class TorchCellForward final : public CellForward {
 public:
  TorchCellForward(const ForwardCall& call, const ThreadTeam& team, const PackedCell& cell,
                   const CellSequences& sequences)
      : CellForward(call, team, cell, sequences) {}

 private:
  void begin() override {}  // load_state found the ranges; each step stages the h that it reads
  void step(std::size_t t, std::size_t active, float* gates) override;
  bool writes_output_in_place() const noexcept override { return false; }

  /// Stages rows with one scale for all of them, found from ranges_.
  TensorQuantizer stage(const float* data, std::size_t stride, std::size_t width, std::size_t rows,
                        StagedRows& out) const;
  void find_ranges(const float* data, std::size_t stride, std::size_t width, std::size_t rows) const;
};

}  // namespace bytegate::detail
