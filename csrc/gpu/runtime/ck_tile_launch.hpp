#pragma once

#include <memory>
#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/ck_tile/args.hpp"
#include "gpu/runtime/device_plan.hpp"

namespace ck_fmha::gpu {

class CkTileFwdModule : public KernelModule {
public:
    CkTileFwdModule(const Driver& driver, int device, const std::string& image, const std::string& name)
        : KernelModule(driver, device, image, name, {"ck_fmha_ck_tile_fwd"})
    {
    }
    Function fwd() const { return kernel(0); }
};

class CkTileBwdModule : public KernelModule {
public:
    CkTileBwdModule(const Driver& driver, int device, const std::string& image, const std::string& name)
        : KernelModule(driver, device, image, name,
                       {"ck_fmha_ck_tile_dot_do_o", "ck_fmha_ck_tile_dq_dk_dv", "ck_fmha_ck_tile_convert_dq"})
    {
    }
    Function dot_do_o() const { return kernel(0); }
    Function dq_dk_dv() const { return kernel(1); }
    Function convert_dq() const { return kernel(2); }
};

// The masks of a call on a device, as CK Tile's kernels find them: the images of a DevicePlan, whose schedule is not
// used, and for each of its groups where the image of each (batch, head) begins.
class CkTileMasks {
public:
    CkTileMasks(const Driver& driver, int device, const std::shared_ptr<const MaskExpr>& mask, gpu::FwdShape shape);
    // Those of a call, made if they are not among those that were used last.
    static std::shared_ptr<CkTileMasks> find(const Driver& driver, int device,
                                             const std::shared_ptr<const MaskExpr>& mask, const gpu::FwdShape& shape);

    const DevicePlan& plan() const { return plan_; }
    // What is launched on the stream afterwards finds everything on the device.
    void prepare(Stream stream, bool is_captured)
    {
        plan_.prepare(stream, is_captured, [](Stream) {});
    }
    const index_t* image_of(size_t group) const
    {
        return reinterpret_cast<const index_t*>(memory_.data()) + group * num_masks();
    }
    size_t size() const { return plan_.size() + memory_.size(); }     // bytes on the device
    size_t num_masks() const { return plan_.plan().group_of.size(); } // that differ

private:
    DevicePlan plan_; // not shared with back ends that find its tiles
    DeviceMemory memory_;
};

// What of a call CK Tile's kernels need besides its arguments. The modules are those of the groups of the masks' plan.
struct CkTileFwdLaunch {
    std::shared_ptr<CkTileMasks> masks;
    std::vector<std::shared_ptr<CkTileFwdModule>> modules;
    Stream stream;
};
struct CkTileBwdLaunch {
    std::shared_ptr<CkTileMasks> masks;
    std::vector<std::shared_ptr<CkTileBwdModule>> modules;
    Stream stream;
    float* d;      // see CkTileArgs
    float* dq_acc; // zeros before dq_dk_dv
};

// Launch kernels on the stream of the masks' device; throw as those of fwd_launch.hpp do.
void ck_tile_forward(const ck_fmha_fwd_args& args, const CkTileFwdLaunch& launch);
// dot_do_o writes D, from which the caller subtracts dLSE if there is one; dlse of the arguments is not read. dK and dV
// have num_heads heads.
void ck_tile_dot_do_o(const ck_fmha_bwd_args& args, const CkTileBwdLaunch& launch);
void ck_tile_dq_dk_dv(const ck_fmha_bwd_args& args, const CkTileBwdLaunch& launch);

} // namespace ck_fmha::gpu
