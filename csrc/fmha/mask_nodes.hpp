#pragma once

// The nodes of a mask expression: definitions at the leaves, the algebra above them.

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "ck_tile_masks/algebra.hpp"
#include "fmha/mask_expr.hpp"

namespace ck_fmha {

using Expr = std::shared_ptr<const MaskExpr>;

// A definition that serves every head and sample alike, or tells heads apart itself. `owner` keeps its data alive.
template <class Def>
class Definition : public MaskExpr {
public:
    explicit Definition(const Def& def, bool varies_by_head = false, std::shared_ptr<const void> owner = nullptr)
        : def_(def), varies_by_head_(varies_by_head), owner_(std::move(owner))
    {
    }
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        using Bound = ck_tile_masks::bound_mask_t<Def>;
        using Owner = std::shared_ptr<const void>;
        return std::make_unique<BoundMaskOf<Bound, Owner>>(ck_tile_masks::bind_mask(def_, call), owner_);
    }
    bool varies_by_head() const override { return varies_by_head_; }
    bool varies_by_batch() const override { return false; }
    void check_counts(int64_t, int64_t) const override {}

private:
    Def def_;
    bool varies_by_head_;
    std::shared_ptr<const void> owner_;
};

template <class Def>
Expr make_definition(const Def& def, bool varies_by_head = false, std::shared_ptr<const void> owner = nullptr)
{
    return std::make_shared<Definition<Def>>(def, varies_by_head, std::move(owner));
}

// What all nodes with parts have in common.
class Node : public MaskExpr {
public:
    explicit Node(std::vector<Expr> parts) : parts_(std::move(parts)) {}
    bool varies_by_head() const override { return any(&MaskExpr::varies_by_head); }
    bool varies_by_batch() const override { return any(&MaskExpr::varies_by_batch); }
    void check_counts(int64_t batch, int64_t num_heads) const override
    {
        for (const Expr& part : parts_)
            part->check_counts(batch, num_heads);
    }

protected:
    const std::vector<Expr>& parts() const { return parts_; }
    std::unique_ptr<BoundMask> bind_part(size_t n, const ck_tile_masks::MaskCall& call) const
    {
        return parts_[n]->bind(call);
    }

private:
    bool any(bool (MaskExpr::*property)() const) const
    {
        return std::any_of(parts_.begin(), parts_.end(), [&](const Expr& part) { return (*part.*property)(); });
    }
    std::vector<Expr> parts_;
};

// "and", "or"
template <template <class, class> class Op>
class Binary final : public Node {
public:
    using Node::Node;
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        using Part = std::unique_ptr<BoundMask>;
        Part a = bind_part(0, call), b = bind_part(1, call);
        const Op<MaskRef, MaskRef> bound{{}, MaskRef(*a), MaskRef(*b), call.seqlen_q, call.seqlen_k};
        return std::make_unique<BoundMaskOf<Op<MaskRef, MaskRef>, Part, Part>>(bound, std::move(a), std::move(b));
    }
};

// "not"
class Not final : public Node {
public:
    using Node::Node;
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        using Bound = ck_tile_masks::Complement<MaskRef>;
        using Part = std::unique_ptr<BoundMask>;
        Part a = bind_part(0, call);
        const Bound bound{{}, MaskRef(*a)};
        return std::make_unique<BoundMaskOf<Bound, Part>>(bound, std::move(a));
    }
};

// "transpose"
class Transpose final : public Node {
public:
    using Node::Node;
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        using Bound = ck_tile_masks::Transposed<MaskRef>;
        using Part = std::unique_ptr<BoundMask>;
        Part a = bind_part(0, {call.batch, call.head, call.seqlen_k, call.seqlen_q});
        const Bound bound{{}, MaskRef(*a)};
        return std::make_unique<BoundMaskOf<Bound, Part>>(bound, std::move(a));
    }
};

// "shift"
class Shift final : public Node {
public:
    Shift(std::vector<Expr> parts, index_t dq, index_t dk) : Node(std::move(parts)), dq_(dq), dk_(dk) {}
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        using Bound = ck_tile_masks::BoundShifted<MaskRef>;
        using Part = std::unique_ptr<BoundMask>;
        Part a = bind_part(0, {call.batch, call.head, length("seqlen_q", call.seqlen_q, "dq", dq_),
                               length("seqlen_k", call.seqlen_k, "dk", dk_)});
        const Bound bound{{}, MaskRef(*a), dq_, dk_};
        return std::make_unique<BoundMaskOf<Bound, Part>>(bound, std::move(a));
    }

private:
    static index_t length(const char* name, index_t seqlen, const char* shift_name, index_t shift)
    {
        const int64_t length = int64_t{seqlen} - shift;
        if (length > ck_tile_masks::kIndexMax)
            throw std::invalid_argument("ck_fmha: a mask shifted by " + std::string(shift_name) + " " +
                                        std::to_string(shift) + " needs " + name + " - " + shift_name +
                                        " below 2^31, got " + name + " " + std::to_string(seqlen));
        return std::max<index_t>(static_cast<index_t>(length), 0);
    }
    index_t dq_, dk_;
};

// "per_head", "per_sample": one part for each head or sample.
class Choice final : public Node {
public:
    enum class By { head, sample };
    Choice(std::vector<Expr> parts, By by) : Node(std::move(parts)), by_(by) {}
    std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const override
    {
        const index_t n = by_ == By::head ? call.head : call.batch;
        if (static_cast<size_t>(n) >= parts().size())
            throw std::invalid_argument("ck_fmha: " + described() + " has no mask for " +
                                        (by_ == By::head ? "head " : "batch ") + std::to_string(n));
        return bind_part(static_cast<size_t>(n), call);
    }
    bool varies_by_head() const override { return (by_ == By::head && parts().size() > 1) || Node::varies_by_head(); }
    bool varies_by_batch() const override
    {
        return (by_ == By::sample && parts().size() > 1) || Node::varies_by_batch();
    }
    void check_counts(int64_t batch, int64_t num_heads) const override
    {
        const int64_t count = by_ == By::head ? num_heads : batch;
        if (static_cast<int64_t>(parts().size()) != count)
            throw std::invalid_argument("ck_fmha: " + described() + ", the call has " + std::to_string(count) +
                                        (by_ == By::head ? " query heads" : " samples") +
                                        ": give one mask for each of them");
        Node::check_counts(batch, num_heads);
    }

private:
    std::string described() const
    {
        return std::string(by_ == By::head ? "per_head" : "per_sample") + " of " + std::to_string(parts().size()) +
               " masks";
    }
    By by_;
};

} // namespace ck_fmha
