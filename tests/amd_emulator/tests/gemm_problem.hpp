// A matrix product with its reference in double.
#pragma once

#include "float_formats.hpp"
#include "kernel_runner.hpp"

#include <cmath>
#include <limits>
#include <random>

struct GemmProblem {
    int m, n, k;
    std::vector<uint16_t> a, b;
    std::vector<double> expected;

    GemmProblem(int m_, int n_, int k_, bool is_half, unsigned seed = 0) : m(m_), n(n_), k(k_)
    {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        const auto draw = [&](std::vector<uint16_t>& bits, std::vector<double>& values, int size) {
            for (int i = 0; i < size; ++i) {
                // Nothing subnormal as a half: gfx90a's products would take it for 0.
                const float drawn = normal(random);
                const float x = std::fabs(drawn) < 0.001f ? 0.001f : drawn;
                bits.push_back(is_half ? amd_emulator::half_nearest(x).bits : amd_emulator::bfloat16_nearest(x).bits);
                values.push_back(is_half ? amd_emulator::to_float(amd_emulator::Half{bits.back()})
                                         : amd_emulator::to_float(amd_emulator::BFloat16{bits.back()}));
            }
        };
        std::vector<double> a_values, b_values;
        draw(a, a_values, m * k);
        draw(b, b_values, n * k);
        for (int i = 0; i < m; ++i) {
            for (int j = 0; j < n; ++j) {
                double sum = 0;
                for (int l = 0; l < k; ++l) {
                    sum += a_values[static_cast<size_t>(i * k + l)] * b_values[static_cast<size_t>(j * k + l)];
                }
                expected.push_back(sum);
            }
        }
    }

    hipError_t run(const KernelModule& module, const std::string& kernel, std::vector<float>& result) const
    {
        DeviceArray<uint16_t> device_a(a), device_b(b);
        DeviceArray<float> device_c(std::vector<float>(expected.size(), std::numeric_limits<float>::quiet_NaN()));
        const hipError_t error = module.launch(kernel, static_cast<unsigned>(n / 64), static_cast<unsigned>(m / 64),
                                               256, device_a.device(), device_b.device(), device_c.device(), n, k);
        result = device_c.fetch();
        return error;
    }

    /// NaN counts as infinitely far.
    double max_error(const std::vector<float>& result) const
    {
        double error = 0;
        for (size_t i = 0; i < expected.size(); ++i) {
            const double difference = std::fabs(static_cast<double>(result[i]) - expected[i]);
            error = difference <= error        ? error
                    : difference == difference ? difference
                                               : std::numeric_limits<double>::infinity();
        }
        return error;
    }
    /// Sums of k products of about 1, each rounded to 24 bits.
    double allowed_error() const { return 1e-6 * k; }
};
