#include "fmha/mask_expr.hpp"

#include "fmha/mask_arguments.hpp"
#include "fmha/mask_definitions.hpp"
#include "fmha/mask_nodes.hpp"
#include "fmha/plan_cache.hpp"

namespace ck_fmha {
namespace {

class Parser {
public:
    Parser(const std::string& structure, const std::vector<int64_t>& params, const std::vector<IndexArray>& data)
        : text_(structure), arguments_(structure, params, data)
    {
    }

    Expr parse()
    {
        Expr expr = parse_expr(0);
        if (pos_ != text_.size()) arguments_.fail("unexpected text at position " + std::to_string(pos_));
        arguments_.check_all_used();
        return expr;
    }

private:
    // Deep enough for any mask a person writes; bounds the recursion that walks and destructors make.
    static constexpr int kMaxDepth = 200;

    std::string parse_name()
    {
        const size_t begin = pos_;
        while (pos_ < text_.size() && ((text_[pos_] >= 'a' && text_[pos_] <= 'z') || text_[pos_] == '_'))
            ++pos_;
        return text_.substr(begin, pos_ - begin);
    }
    bool accept(char c)
    {
        if (pos_ >= text_.size() || text_[pos_] != c) return false;
        ++pos_;
        return true;
    }
    void expect(char c)
    {
        if (!accept(c)) arguments_.fail(std::string("expected '") + c + "' at position " + std::to_string(pos_));
    }

    Expr parse_expr(int depth)
    {
        if (depth > kMaxDepth) arguments_.fail("nested deeper than " + std::to_string(kMaxDepth));
        const size_t begin = pos_;
        const std::string name = parse_name();
        if (name == "and") return std::make_shared<Binary<ck_tile_masks::Intersection>>(parse_parts(depth, 2));
        if (name == "or") return std::make_shared<Binary<ck_tile_masks::Union>>(parse_parts(depth, 2));
        if (name == "not") return std::make_shared<Not>(parse_parts(depth, 1));
        if (name == "transpose") return std::make_shared<Transpose>(parse_parts(depth, 1));
        if (name == "shift") {
            const index_t dq = arguments_.index("dq", -kMaxShift, kMaxShift);
            const index_t dk = arguments_.index("dk", -kMaxShift, kMaxShift);
            return std::make_shared<Shift>(parse_parts(depth, 1), dq, dk);
        }
        if (name == "per_head") return std::make_shared<Choice>(parse_parts(depth, kAnyNumber), Choice::By::head);
        if (name == "per_sample") return std::make_shared<Choice>(parse_parts(depth, kAnyNumber), Choice::By::sample);
        if (Expr definition = parse_definition(name, arguments_)) return definition;
        arguments_.fail("no such mask definition at position " + std::to_string(begin));
    }

    // "(" expr {"," expr} ")"
    std::vector<Expr> parse_parts(int depth, int count)
    {
        std::vector<Expr> parts;
        expect('(');
        parts.push_back(parse_expr(depth + 1));
        while (count == kAnyNumber ? accept(',') : static_cast<int>(parts.size()) < count) {
            if (count != kAnyNumber) expect(',');
            parts.push_back(parse_expr(depth + 1));
        }
        expect(')');
        return parts;
    }

    static constexpr int kAnyNumber = 0;
    static constexpr index_t kMaxShift = ck_tile_masks::kIndexMax;

    const std::string& text_;
    MaskArguments arguments_;
    size_t pos_ = 0;
};

} // namespace

MaskExpr::~MaskExpr() { PlanCache::global().forget(this); }

std::shared_ptr<const MaskExpr> build_mask(const std::string& structure, const std::vector<int64_t>& params,
                                           const std::vector<IndexArray>& data)
{
    return Parser(structure, params, data).parse();
}

} // namespace ck_fmha
