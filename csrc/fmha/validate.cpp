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
    if (p.dtype < CK_FMHA_FLOAT32 || p.dtype > CK_FMHA_FLOAT64)
        refuse("dtype must be one of enum ck_fmha_dtype, got " + std::to_string(p.dtype));
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
    if (!(e.softcap >= 0 && std::isfinite(e.softcap)))
        refuse("softcap must be finite and at least 0, got " + std::to_string(e.softcap));
    if (!(e.dropout_p >= 0 && e.dropout_p <= 1))
        refuse("dropout_p must be in [0, 1], got " + std::to_string(e.dropout_p));
    if (e.bias.tensor.data && e.bias_dtype != p.dtype && e.bias_dtype != CK_FMHA_FLOAT32)
        refuse("bias_dtype must be that of the call or CK_FMHA_FLOAT32, got " + std::to_string(e.bias_dtype));
}

uintptr_t size_of(int32_t dtype)
{
    return dtype == CK_FMHA_FLOAT64 ? sizeof(double) : dtype == CK_FMHA_FLOAT32 ? sizeof(float) : sizeof(uint16_t);
}

// Every element's offset must be representable; sizes are those of the tensor's own dimensions.
void check_tensor(const char* name, const ck_fmha_tensor& t, uintptr_t element_size, int64_t batch, int64_t heads,
                  int64_t seqlen, int64_t columns, bool required, int64_t stride_column = 1)
{
    if (batch == 0 || heads == 0 || seqlen == 0 || columns == 0) return;
    if (!t.data) {
        if (required) refuse(std::string(name) + ".data is null");
        return;
    }
    const double reach = static_cast<double>(batch - 1) * std::abs(static_cast<double>(t.stride_batch)) +
                         static_cast<double>(heads - 1) * std::abs(static_cast<double>(t.stride_head)) +
                         static_cast<double>(seqlen - 1) * std::abs(static_cast<double>(t.stride_seq)) +
                         static_cast<double>(columns) * std::abs(static_cast<double>(stride_column));
    if (reach > 1.0e18) refuse(std::string(name) + " has strides whose offsets overflow 64 bits");
    if (reinterpret_cast<uintptr_t>(t.data) % element_size != 0)
        refuse(std::string(name) + ".data must be aligned to its elements of " + std::to_string(element_size) +
               " bytes");
}

void check_scores(const char* name, const ck_fmha_scores& t, uintptr_t element_size, const ck_fmha_problem& p)
{
    check_tensor(name, t.tensor, element_size, p.batch, p.num_heads, p.seqlen_q, p.seqlen_k, false, t.stride_k);
}

// What forward and backward have in common.
template <class Args>
void check_call(const Args& a)
{
    const ck_fmha_problem& p = a.problem;
    check_problem(p, sizeof(a));
    check_tensor("q", a.q, size_of(p.dtype), p.batch, p.num_heads, p.seqlen_q, p.head_dim, true);
    check_tensor("k", a.k, size_of(p.dtype), p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim, true);
    check_tensor("v", a.v, size_of(p.dtype), p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v, true);
    check_tensor("o", a.o, size_of(p.dtype), p.batch, p.num_heads, p.seqlen_q, p.head_dim_v, true);
    check_scores("bias", p.extras.bias, size_of(p.extras.bias_dtype), p);
    check_scores("attended", p.extras.attended, 1, p);
    if (!a.lse && p.batch * p.num_heads * p.seqlen_q > 0) refuse("lse is null");
}

} // namespace

void validate(const ck_fmha_fwd_args& a) { check_call(a); }

void validate(const ck_fmha_bwd_args& a)
{
    check_call(a);
    const ck_fmha_problem& p = a.problem;
    check_tensor("d_o", a.d_o, size_of(p.dtype), p.batch, p.num_heads, p.seqlen_q, p.head_dim_v, true);
    check_tensor("dq", a.dq, size_of(p.dtype), p.batch, p.num_heads, p.seqlen_q, p.head_dim, false);
    check_tensor("dk", a.dk, size_of(p.dtype), p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim, false);
    check_tensor("dv", a.dv, size_of(p.dtype), p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v, false);
    check_scores("dbias", a.dbias, size_of(p.extras.bias_dtype), p);
    if (a.dbias.tensor.data && a.dbias.stride_k != 0 && a.dbias.stride_k != 1)
        refuse("dbias must be dense in keys: stride_k must be 1, or 0 to sum over them, got " +
               std::to_string(a.dbias.stride_k));
    if (a.dbias.tensor.data && !p.extras.bias.tensor.data) refuse("dbias is asked for without a bias");
}

} // namespace ck_fmha
