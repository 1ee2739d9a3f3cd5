#include "fmha/validate.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace ck_fmha {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("ck_fmha: " + what); }

void check_range(const char* name, int64_t value, int64_t low, int64_t high)
{
    if (value < low || value > high)
        refuse(std::string(name) + " must be in [" + std::to_string(low) + ", " + std::to_string(high) + "], got " +
               std::to_string(value));
}

void check_problem(const ck_fmha_problem& p, uint32_t size)
{
    constexpr int64_t int_max = std::numeric_limits<int32_t>::max();
    if (p.version != CK_FMHA_ARGS_VERSION || p.size != size)
        refuse("argument struct has version " + std::to_string(p.version) + " and size " + std::to_string(p.size) +
               ", this library understands version " + std::to_string(CK_FMHA_ARGS_VERSION) + " and size " +
               std::to_string(size) + ": rebuild the caller");
    if (p.dtype != CK_FMHA_FLOAT32 && p.dtype != CK_FMHA_BFLOAT16)
        refuse("dtype must be CK_FMHA_FLOAT32 or CK_FMHA_BFLOAT16, got " + std::to_string(p.dtype));
    check_range("num_threads", p.num_threads, 1, 4096);
    check_range("batch", p.batch, 0, int_max);
    check_range("num_heads", p.num_heads, 0, int_max);
    check_range("num_heads_kv", p.num_heads_kv, p.num_heads > 0 ? 1 : 0, int_max);
    check_range("seqlen_q", p.seqlen_q, 0, int_max);
    check_range("seqlen_k", p.seqlen_k, 0, int_max);
    check_range("head_dim", p.head_dim, 1, 256);
    check_range("head_dim_v", p.head_dim_v, 1, 256);
    if (p.num_heads_kv > 0 && (p.num_heads == 0 || p.num_heads % p.num_heads_kv != 0))
        refuse("num_heads must be a multiple of num_heads_kv, got " + std::to_string(p.num_heads) + " and " +
               std::to_string(p.num_heads_kv));
    if (p.num_heads > 0 && p.batch > int_max / p.num_heads)
        refuse("batch * num_heads must be below 2^31, got " + std::to_string(p.batch) + " * " +
               std::to_string(p.num_heads));
    if (!std::isfinite(static_cast<float>(p.softmax_scale)))
        refuse("softmax_scale must be a finite float32, got " + std::to_string(p.softmax_scale));

    const ck_fmha_extras& e = p.extras;
    if (e.bias.data || e.dbias.data || e.bias_stride_k)
        refuse("bias is not implemented yet: bias.data and dbias.data must be null");
    if (e.alibi_slopes || e.alibi_stride_batch) refuse("ALiBi is not implemented yet: alibi_slopes must be null");
    if (e.softcap != 0) refuse("softcap is not implemented yet: it must be 0, got " + std::to_string(e.softcap));
    if (e.dropout_p != 0 || e.dropout_seed || e.dropout_offset)
        refuse("dropout is not implemented yet: dropout_p must be 0, got " + std::to_string(e.dropout_p));
    if (e.tile_weights) refuse("tile weights are not implemented yet: tile_weights must be null");
}

// Every element's offset must be representable; sizes are those of the tensor's own dimensions.
void check_tensor(const char* name, const ck_fmha_tensor& t, int32_t dtype, int64_t batch, int64_t heads,
                  int64_t seqlen, int64_t head_dim, bool required)
{
    if (batch == 0 || heads == 0 || seqlen == 0) return;
    if (!t.data) {
        if (required) refuse(std::string(name) + ".data is null");
        return;
    }
    const double reach = static_cast<double>(batch - 1) * std::abs(static_cast<double>(t.stride_batch)) +
                         static_cast<double>(heads - 1) * std::abs(static_cast<double>(t.stride_head)) +
                         static_cast<double>(seqlen - 1) * std::abs(static_cast<double>(t.stride_seq)) +
                         static_cast<double>(head_dim);
    if (reach > 1.0e18) refuse(std::string(name) + " has strides whose offsets overflow 64 bits");
    const uintptr_t size = dtype == CK_FMHA_FLOAT32 ? sizeof(float) : sizeof(uint16_t);
    if (reinterpret_cast<uintptr_t>(t.data) % size != 0)
        refuse(std::string(name) + ".data must be aligned to its elements of " + std::to_string(size) + " bytes");
}

// What forward and backward have in common.
template <class Args>
void check_call(const Args& a)
{
    const ck_fmha_problem& p = a.problem;
    check_problem(p, sizeof(a));
    check_tensor("q", a.q, p.dtype, p.batch, p.num_heads, p.seqlen_q, p.head_dim, true);
    check_tensor("k", a.k, p.dtype, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim, true);
    check_tensor("v", a.v, p.dtype, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v, true);
    check_tensor("o", a.o, p.dtype, p.batch, p.num_heads, p.seqlen_q, p.head_dim_v, true);
    if (!a.lse && p.batch * p.num_heads * p.seqlen_q > 0) refuse("lse is null");
}

} // namespace

void validate(const ck_fmha_fwd_args& a) { check_call(a); }

void validate(const ck_fmha_bwd_args& a)
{
    check_call(a);
    const ck_fmha_problem& p = a.problem;
    check_tensor("d_o", a.d_o, p.dtype, p.batch, p.num_heads, p.seqlen_q, p.head_dim_v, true);
    check_tensor("dq", a.dq, p.dtype, p.batch, p.num_heads, p.seqlen_q, p.head_dim, false);
    check_tensor("dk", a.dk, p.dtype, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim, false);
    check_tensor("dv", a.dv, p.dtype, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v, false);
}

} // namespace ck_fmha
