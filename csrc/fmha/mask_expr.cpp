#include "fmha/mask_expr.hpp"

#include <stdexcept>
#include <utility>

#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"

namespace ck_fmha {
namespace {

namespace ctm = ck_tile_masks;
using Expr = std::shared_ptr<const MaskExpr>;

template <class Def>
class Leaf final : public MaskExpr {
public:
    Leaf(const Def& def, bool varies_by_head) : def_(def), varies_by_head_(varies_by_head) {}
    std::unique_ptr<BoundMask> bind(const ctm::MaskCall& call) const override
    {
        return std::make_unique<BoundMaskOf<ctm::bound_mask_t<Def>>>(ctm::bind_mask(def_, call));
    }
    bool varies_by_head() const override { return varies_by_head_; }

private:
    Def def_;
    bool varies_by_head_;
};

template <template <class, class> class Op>
class Binary final : public MaskExpr {
public:
    Binary(Expr a, Expr b) : a_(std::move(a)), b_(std::move(b)) {}
    std::unique_ptr<BoundMask> bind(const ctm::MaskCall& call) const override
    {
        using Bound = Op<MaskRef, MaskRef>;
        using Part = std::unique_ptr<BoundMask>;
        Part a = a_->bind(call), b = b_->bind(call);
        const Bound bound{{}, MaskRef(*a), MaskRef(*b)};
        return std::make_unique<BoundMaskOf<Bound, Part, Part>>(bound, std::move(a), std::move(b));
    }
    bool varies_by_head() const override { return a_->varies_by_head() || b_->varies_by_head(); }

private:
    Expr a_, b_;
};

class Not final : public MaskExpr {
public:
    explicit Not(Expr a) : a_(std::move(a)) {}
    std::unique_ptr<BoundMask> bind(const ctm::MaskCall& call) const override
    {
        using Bound = ctm::Complement<MaskRef>;
        using Part = std::unique_ptr<BoundMask>;
        Part a = a_->bind(call);
        const Bound bound{{}, MaskRef(*a)};
        return std::make_unique<BoundMaskOf<Bound, Part>>(bound, std::move(a));
    }
    bool varies_by_head() const override { return a_->varies_by_head(); }

private:
    Expr a_;
};

class Parser {
public:
    Parser(const std::string& structure, const std::vector<int64_t>& params) : text_(structure), params_(params) {}

    Expr parse()
    {
        Expr expr = parse_expr(0);
        if (pos_ != text_.size()) fail("unexpected text at position " + std::to_string(pos_));
        if (next_param_ != params_.size())
            fail("takes " + std::to_string(next_param_) + " parameters, got " + std::to_string(params_.size()));
        return expr;
    }

private:
    // Deep enough for any mask a person writes; bounds the recursion that walks and destructors make.
    static constexpr int kMaxDepth = 200;

    [[noreturn]] void fail(const std::string& what) const
    {
        throw std::invalid_argument("ck_fmha: mask structure '" + text_ + "': " + what);
    }

    bool accept(const std::string& token)
    {
        if (text_.compare(pos_, token.size(), token) != 0) return false;
        pos_ += token.size();
        return true;
    }
    void expect(const std::string& token)
    {
        if (!accept(token)) fail("expected '" + token + "' at position " + std::to_string(pos_));
    }

    int64_t param(const char* name, int64_t low, int64_t high)
    {
        if (next_param_ >= params_.size()) fail(std::string("parameter ") + name + " is missing");
        const int64_t value = params_[next_param_++];
        if (value < low || value > high)
            fail(std::string(name) + " must be in [" + std::to_string(low) + ", " + std::to_string(high) + "], got " +
                 std::to_string(value));
        return value;
    }
    index_t index_param(const char* name, index_t low, index_t high = ctm::kIndexMax)
    {
        return static_cast<index_t>(param(name, low, high));
    }

    Expr parse_expr(int depth)
    {
        if (depth > kMaxDepth) fail("nested deeper than " + std::to_string(kMaxDepth));
        if (accept("and(")) return parse_binary<ctm::Intersection>(depth);
        if (accept("or(")) return parse_binary<ctm::Union>(depth);
        if (accept("not(")) {
            Expr a = parse_expr(depth + 1);
            expect(")");
            return std::make_shared<Not>(std::move(a));
        }
        if (accept("full")) return std::make_shared<Leaf<ctm::Full>>(ctm::Full{}, false);
        if (accept("diagonal")) return parse_diagonal();
        if (accept("prefix_lm")) return parse_prefix_lm();
        if (accept("longformer")) return parse_longformer();
        if (accept("big_bird")) return parse_big_bird();
        fail("no such mask definition at position " + std::to_string(pos_));
    }

    template <template <class, class> class Op>
    Expr parse_binary(int depth)
    {
        Expr a = parse_expr(depth + 1);
        expect(",");
        Expr b = parse_expr(depth + 1);
        expect(")");
        return std::make_shared<Binary<Op>>(std::move(a), std::move(b));
    }

    // left, right (-1 = unbounded), alignment (0 = top-left, 1 = bottom-right), num_sinks
    Expr parse_diagonal()
    {
        const index_t left = index_param("left", -1), right = index_param("right", -1);
        const auto alignment = static_cast<ctm::Alignment>(param("alignment", 0, 1));
        const index_t sinks = index_param("num_sinks", 0);
        return std::make_shared<Leaf<ctm::Diagonal>>(ctm::Diagonal(left, right, alignment, sinks), false);
    }

    // prefix, alignment (0 = top-left, 1 = bottom-right)
    Expr parse_prefix_lm()
    {
        const index_t prefix = index_param("prefix", 0);
        const auto alignment = static_cast<ctm::Alignment>(param("alignment", 0, 1));
        return std::make_shared<Leaf<ctm::PrefixLM>>(ctm::PrefixLM(prefix, alignment), false);
    }

    // window (even), num_global, dilation
    Expr parse_longformer()
    {
        const index_t window = index_param("window", 0);
        if (window % 2 != 0) fail("window must be even, got " + std::to_string(window));
        const index_t num_global = index_param("num_global", 0), dilation = index_param("dilation", 1);
        return std::make_shared<Leaf<ctm::Longformer>>(ctm::Longformer(window, num_global, dilation), false);
    }

    // block_size, num_window_blocks (odd), num_global_blocks, num_random_blocks, seed
    Expr parse_big_bird()
    {
        const index_t block = index_param("block_size", 1), window = index_param("num_window_blocks", 1);
        if (window % 2 == 0) fail("num_window_blocks must be odd, got " + std::to_string(window));
        const index_t global = index_param("num_global_blocks", 0), random = index_param("num_random_blocks", 0);
        const int64_t seed = param("seed", INT64_MIN, INT64_MAX);
        return std::make_shared<Leaf<ctm::BigBird>>(ctm::BigBird(block, window, global, random, seed), random > 0);
    }

    const std::string& text_;
    const std::vector<int64_t>& params_;
    size_t pos_ = 0;
    size_t next_param_ = 0;
};

} // namespace

std::shared_ptr<const MaskExpr> build_mask(const std::string& structure, const std::vector<int64_t>& params)
{
    return Parser(structure, params).parse();
}

} // namespace ck_fmha
