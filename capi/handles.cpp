// A handle is a number: the index of a slot in a table, the generation of that slot, and what kind of object it holds.
// A slot's generation grows when its handle is closed. So a closed handle differs from every later one, and a pointer
// that never was a handle is told from one without being followed.
#include "capi/handles.h"

#include <pthread.h>

#include <atomic>
#include <bit>
#include <cstddef>

namespace bytegate::capi {
namespace {

// Of a handle, from its lowest bit: 4 zeros, as a pointer from malloc has them; kind; index; generation.
constexpr unsigned kKindShift = 4, kIndexShift = 7, kGenerationShift = 27;
constexpr std::size_t kMaxIndex = (std::size_t{1} << (kGenerationShift - kIndexShift)) - 1;
constexpr std::uintptr_t kMaxGeneration = ~std::uintptr_t{0} >> kGenerationShift;

struct Slot {
  std::atomic<std::uintptr_t> handle{0};  ///< 0: free
  void* object = nullptr;
  std::uintptr_t generation = 0;
  Slot* next_free = nullptr;
  std::size_t index = 0;
};

// Block b has kFirstBlock << b slots. Blocks are never freed, so that a handle can be looked up without a lock.
constexpr std::size_t kFirstBlock = 64, kBlocks = 14;
static_assert((kFirstBlock << kBlocks) - kFirstBlock <= kMaxIndex + 1);

constinit Slot first_block[kFirstBlock];
constinit std::atomic<Slot*> blocks[kBlocks]{first_block};
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // guards what is below, and the opening and closing of handles
constinit Slot* free_slots = nullptr;
constinit std::size_t used = 0;  // slots that have been used: those of lower indices

/// Holds the mutex. (std::mutex is a class of templates, for the same calls.)
struct Lock {
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

std::size_t block_of(std::size_t index) {
  return static_cast<std::size_t>(std::bit_width(index / kFirstBlock + 1) - 1);
}

/// Null if there is no such slot yet.
Slot* find_slot(std::size_t index) {
  const std::size_t block = block_of(index);
  if (block >= kBlocks) return nullptr;
  Slot* slots = blocks[block].load(std::memory_order_acquire);
  return slots ? slots + (index - kFirstBlock * ((std::size_t{1} << block) - 1)) : nullptr;
}

Slot& take_slot() {
  if (Slot* slot = free_slots) {
    free_slots = slot->next_free;
    return *slot;
  }
  const std::size_t block = block_of(used);
  if (block >= kBlocks) fail(BYTEGATE_OUT_OF_MEMORY, {"there are too many handles; close some"});
  if (!blocks[block].load(std::memory_order_relaxed))
    blocks[block].store(new Slot[kFirstBlock << block], std::memory_order_release);
  Slot& slot = *find_slot(used);
  slot.index = used++;
  return slot;
}

Slot& find(const void* handle, Kind kind) {
  const auto value = reinterpret_cast<std::uintptr_t>(handle);
  Slot* slot = find_slot(value >> kIndexShift & kMaxIndex);
  const bool of_kind = (value & ((1u << kIndexShift) - 1)) == static_cast<std::uintptr_t>(kind) << kKindShift;
  if (of_kind && slot && slot->handle.load(std::memory_order_acquire) == value) return *slot;
  static constexpr const char* names[] = {"", "model", "layer", "state", "workspace"};
  const char* name = names[static_cast<std::size_t>(kind)];
  if (!handle) fail(BYTEGATE_NULL_POINTER, {"the ", name, " is null"});
  fail(BYTEGATE_INVALID_HANDLE, {"the ", name, " is closed, or the pointer is no handle of a ", name});
}

/// The object of a handle, which is closed.
void* take_object(const void* handle, Kind kind) {
  const Lock lock;
  Slot& slot = find(handle, kind);
  slot.handle.store(0, std::memory_order_release);
  if (slot.generation++ < kMaxGeneration) {  // a slot that has had all its handles is not used again
    slot.next_free = free_slots;
    free_slots = &slot;
  }
  return slot.object;
}

void destroy(void* object, Kind kind) noexcept {
  switch (kind) {
    case Kind::model:
      delete static_cast<Model*>(object);
      break;
    case Kind::layer:
      delete static_cast<LayerPtr*>(object);
      break;
    case Kind::state:
      delete static_cast<ModelState*>(object);
      break;
    case Kind::workspace:
      delete static_cast<Workspace*>(object);
      break;
  }
}

}  // namespace

void* open_handle(void* object, Kind kind) try {
  const Lock lock;
  Slot& slot = take_slot();
  slot.object = object;
  const std::uintptr_t handle =
      slot.generation << kGenerationShift | slot.index << kIndexShift | static_cast<std::uintptr_t>(kind) << kKindShift;
  slot.handle.store(handle, std::memory_order_release);
  return reinterpret_cast<void*>(handle);
} catch (...) {
  destroy(object, kind);
  throw;
}

void* find_object(const void* handle, Kind kind) { return find(handle, kind).object; }

bytegate_status close_handle(void* handle, Kind kind) noexcept try {
  if (handle) destroy(take_object(handle, kind), kind);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

}  // namespace bytegate::capi
