#include "memory_operation.hpp"

#include "launch.hpp"
#include "operation.hpp"
#include "wave.hpp"

#include <algorithm>

namespace amd_emulator {
namespace {

constexpr unsigned kMaxVector = 63; ///< the counters' range: the hardware stalls rather than count further
constexpr unsigned kMaxLds = 15;

bool counts_vector(WaitCounter counter) { return counter == WaitCounter::vector || counter == WaitCounter::flat; }
bool counts_lds(WaitCounter counter) { return counter != WaitCounter::vector; }

} // namespace

void MemoryQueue::clear()
{
    for (auto& operation : queue_) {
        free_.push_back(std::move(operation));
    }
    queue_.clear();
    num_vector_ = num_lds_ = 0;
    std::fill(std::begin(vector_in_flight_), std::end(vector_in_flight_), uint8_t{0});
    std::fill(std::begin(scalar_in_flight_), std::end(scalar_in_flight_), uint8_t{0});
}

MemoryOperation& MemoryQueue::prepare()
{
    if (!prepared_) {
        if (free_.empty()) {
            free_.push_back(std::make_unique<MemoryOperation>());
        }
        prepared_ = std::move(free_.back());
        free_.pop_back();
    }
    prepared_->performed = prepared_->vector_done = prepared_->lds_done = prepared_->writes_lds = false;
    prepared_->to_scalar = prepared_->clipped = prepared_->has_undefined = false;
    prepared_->num_destinations = 0;
    prepared_->second_offset = 0;
    return *prepared_;
}

void MemoryQueue::mark(const MemoryOperation& operation, int change)
{
    uint8_t* marks = operation.to_scalar ? scalar_in_flight_ : vector_in_flight_;
    for (int i = 0; i < operation.num_destinations; ++i) {
        marks[operation.destination + i] = static_cast<uint8_t>(marks[operation.destination + i] + change);
    }
}

void MemoryQueue::count(const MemoryOperation& operation, int change)
{
    if (counts_vector(operation.counter)) {
        num_vector_ += static_cast<unsigned>(change);
    }
    if (counts_lds(operation.counter)) {
        num_lds_ += static_cast<unsigned>(change);
    }
}

void MemoryQueue::issue(Wave& wave)
{
    if (num_vector_ == kMaxVector || num_lds_ == kMaxLds) {
        wait(wave, std::min(num_vector_, kMaxVector - 1), std::min(num_lds_, kMaxLds - 1));
        if (num_lds_ == kMaxLds) {
            wait(wave, kMaxVector, 0);
        } // scalar loads only complete together
    }
    MemoryOperation& operation = *prepared_;
    mark(operation, 1);
    count(operation, 1);
    if (operation.writes_lds) {
        wave.group().lds_dma.push_back(&operation);
    }
    queue_.push_back(std::move(prepared_));
    Launch& launch = wave.launch();
    if (launch.options.completion == Completion::early) {
        perform(wave, operation);
    } else if (launch.options.completion == Completion::random) {
        // Effects may come at any time before the wait, in order within one counter.
        for (auto& queued : queue_) {
            if (launch.random() % 2 == 0) {
                break;
            }
            if (queued->counter != WaitCounter::flat) {
                perform(wave, *queued);
            }
        }
    }
}

void MemoryQueue::perform(Wave& wave, MemoryOperation& operation)
{
    if (operation.performed) {
        return;
    }
    operation.performed = true;
    try {
        operation.perform(wave, operation);
    } catch (const Fault& fault) {
        throw Fault(fault.kind(),
                    format("%s; the operation was issued by '%s' at +0x%llx", fault.what(),
                           operation.instruction->text.c_str(),
                           static_cast<unsigned long long>(wave.launch().offset_of(*operation.instruction))));
    }
    if (operation.writes_lds) {
        auto& dma = wave.group().lds_dma;
        dma.erase(std::find(dma.begin(), dma.end(), &operation));
    }
}

void MemoryQueue::deliver(Wave& wave, MemoryOperation& operation)
{
    perform(wave, operation);
    mark(operation, -1);
    count(operation, -1);
    if (operation.num_destinations == 0) {
        return;
    }
    if (operation.to_scalar) {
        for (int i = 0; i < operation.num_destinations; ++i) {
            wave.sgpr[operation.destination + i] = operation.data[i][0];
            wave.sgpr_undefined[operation.destination + i] = 0;
        }
        return;
    }
    const auto half = operation.access->half;
    for (int i = 0; i < operation.num_destinations; ++i) {
        const int index = operation.destination + i;
        if (half == MemoryAccess::HalfRegister::none && !operation.has_undefined) {
            wave.write_vgpr(index, operation.data[i], operation.lanes);
            continue;
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            if ((operation.lanes >> lane & 1) == 0) {
                continue;
            }
            const uint32_t value = operation.data[i][lane];
            const uint32_t undefined = operation.has_undefined ? operation.undefined[i][lane] : 0;
            const uint32_t old = wave.vgpr(index)[lane];
            const uint32_t old_undefined = wave.undefined_bits(index, lane);
            switch (half) {
            case MemoryAccess::HalfRegister::none:
                wave.write_lane(index, lane, value, undefined);
                break;
            case MemoryAccess::HalfRegister::low:
                wave.write_lane(index, lane, (old & 0xffff0000u) | (value & 0xffffu),
                                (old_undefined & 0xffff0000u) | (undefined & 0xffffu));
                break;
            case MemoryAccess::HalfRegister::high:
                wave.write_lane(index, lane, (old & 0xffffu) | value << 16,
                                (old_undefined & 0xffffu) | undefined << 16);
                break;
            }
        }
    }
}

/// Whether an operation is certain to be complete when its counters have come down this far. Operations of one kind
/// complete in order; scalar loads do not, nor do kinds among each other.
bool MemoryQueue::is_complete(size_t position, unsigned max_vector, unsigned max_lds) const
{
    const MemoryOperation& operation = *queue_[position];
    unsigned younger = 0;
    for (size_t i = position + 1; i < queue_.size(); ++i) {
        younger += queue_[i]->counter == operation.counter ? 1 : 0;
    }
    switch (operation.counter) {
    case WaitCounter::vector:
        return younger >= max_vector;
    case WaitCounter::lds:
        return younger >= max_lds;
    case WaitCounter::scalar:
        return max_lds == 0;
    case WaitCounter::flat:
        return operation.vector_done && operation.lds_done;
    }
    return false;
}

void MemoryQueue::wait(Wave& wave, unsigned max_vector, unsigned max_lds)
{
    if (queue_.empty()) {
        return;
    }
    for (auto& operation : queue_) {
        operation->vector_done |= max_vector == 0;
        operation->lds_done |= max_lds == 0;
    }
    size_t kept = 0;
    std::vector<bool> complete(queue_.size());
    for (size_t i = 0; i < queue_.size(); ++i) {
        complete[i] = is_complete(i, max_vector, max_lds);
    }
    for (size_t i = 0; i < queue_.size(); ++i) {
        if (complete[i]) {
            deliver(wave, *queue_[i]);
            free_.push_back(std::move(queue_[i]));
        } else {
            std::swap(queue_[kept++], queue_[i]);
        }
    }
    queue_.resize(kept);
}

void MemoryQueue::check_registers(const Instruction& instruction) const
{
    for (int k = 0; k < instruction.num_operands; ++k) {
        const Operand& operand = instruction.operand(k);
        if (!operand.is_register()) {
            continue;
        }
        const uint8_t* marks = operand.is_vector() ? vector_in_flight_ : scalar_in_flight_;
        for (int i = 0; i < operand.num_registers; ++i) {
            if (marks[operand.index + i] == 0) {
                continue;
            }
            // Loads of one kind return in order, so a second one may have the same destination.
            const bool is_load_destination = k == 0 && instruction.operation->access != nullptr &&
                                             operand.is_vector() &&
                                             instruction.operation->access->action == MemoryAccess::Action::load &&
                                             instruction.operation->access->half == MemoryAccess::HalfRegister::none;
            if (!is_load_destination) {
                throw_in_flight(instruction, operand);
            }
        }
    }
}

void MemoryQueue::throw_in_flight(const Instruction& instruction, const Operand& operand) const
{
    for (const auto& operation : queue_) {
        const bool overlaps = operation->to_scalar == operand.is_scalar() &&
                              operation->destination < operand.index + operand.num_registers &&
                              operand.index < operation->destination + operation->num_destinations;
        if (!overlaps) {
            continue;
        }
        const bool is_accumulator = operand.is_vector() && operand.index >= kFirstAccumulator;
        throw Fault(FaultKind::missing_wait,
                    format("'%s' uses %s%d while '%s' is in flight to it", instruction.text.c_str(),
                           operand.is_scalar() ? "s"
                           : is_accumulator    ? "a"
                                               : "v",
                           is_accumulator ? operand.index - kFirstAccumulator : operand.index,
                           operation->instruction->text.c_str()));
    }
    throw Fault(FaultKind::missing_wait, instruction.text);
}

} // namespace amd_emulator
