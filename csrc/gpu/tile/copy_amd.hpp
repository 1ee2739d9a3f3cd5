#pragma once

#include "gpu/tile/rows_in_memory.hpp"
#include "gpu/tile/shared_tiles_amd.hpp"

// K and V on their way to shared memory: `load` sends the loads of a tile, which stay in flight while another tile is
// computed; `store` waits for them and writes what came. Rows past the end and dimensions past head_dim come as zeros.

namespace ck_fmha::gpu {

// From a tile's first row; outside its buffer past the end of a row.
CK_FMHA_DEVICE index_t offset_in_buffer(const RowsInMemory& rows, index_t row, index_t byte)
{
    return (byte < rows.used_bytes ? byte : Buffer::kOutside) + row * static_cast<index_t>(rows.row_bytes);
}

// Rows in tiles of kTileRows. The base of a tile's buffer moves, so that offsets stay small in tensors of any size; the
// last tile ends with its last row's last element.
template <index_t kTileRows>
class TilesInMemory {
public:
    CK_FMHA_DEVICE explicit TilesInMemory(const RowsInMemory& rows)
        : data_(rows.data),
          tile_bytes_(kTileRows * rows.row_bytes),
          full_size_(size_of(rows, kTileRows)),
          last_tile_((rows.num_rows - 1) / kTileRows),
          last_size_(size_of(rows, rows.num_rows - last_tile_ * kTileRows))
    {
    }
    CK_FMHA_DEVICE Buffer tile(index_t n) const
    {
        return Buffer(data_ + static_cast<bits_t>(static_cast<unsigned>(n)) * tile_bytes_,
                      n == last_tile_ ? last_size_ : full_size_);
    }

private:
    CK_FMHA_DEVICE static index_t size_of(const RowsInMemory& rows, index_t count)
    {
        return (count - 1) * static_cast<index_t>(rows.row_bytes) + rows.used_bytes;
    }

    const char* data_;
    unsigned tile_bytes_;
    index_t full_size_;
    index_t last_tile_;
    index_t last_size_;
};

// Every thread moves pieces of 16 bytes, each of one key.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class KeyCopy {
    using Shared = SharedKeys<kTileK, kHeadDim>;

public:
    CK_FMHA_DEVICE explicit KeyCopy(const RowsInMemory& keys) : tiles_(keys)
    {
        unroll<kPieces>([&](auto n) { offset_[n] = offset_in_buffer(keys, key(n), piece() * 16); });
        unroll<kPlaces>([&](auto n) { place_[n] = Shared::place(key(n), piece()); });
    }
    CK_FMHA_DEVICE void load(index_t tile)
    {
        const Buffer buffer = tiles_.tile(tile);
        unroll<kPieces>([&](auto n) { in_flight_[n] = buffer.load(Constant<4>{}, offset_[n]); });
    }
    CK_FMHA_DEVICE void store(const Shared& shared) const
    {
        unroll<kPieces>([&](auto n) {
            constexpr index_t kRows = n / kPlaces * kPlaces * kKeysAtOnce;
            shared.memory().store(place_[n % kPlaces] + kRows * Shared::kRowBytes, in_flight_[n]);
        });
    }

private:
    static constexpr index_t kPiecesPerKey = kHeadDim / 8;
    static constexpr index_t kKeysAtOnce = kThreads / kPiecesPerKey;
    static constexpr index_t kPieces = kTileK / kKeysAtOnce;
    static_assert(kPieces >= 1 && kTileK % kKeysAtOnce == 0, "ck_fmha: threads do not share the tile evenly");
    // The swizzle repeats every 8 keys: there a piece has the same place, rows further.
    static constexpr index_t kPlaces = kPieces == 1 || kKeysAtOnce >= 8 ? 1 : 8 / kKeysAtOnce;

    CK_FMHA_DEVICE static index_t piece() { return thread_index() % kPiecesPerKey; }
    CK_FMHA_DEVICE static index_t key(index_t n) { return thread_index() / kPiecesPerKey + n * kKeysAtOnce; }

    TilesInMemory<kTileK> tiles_;
    index_t offset_[kPieces];
    index_t place_[kPlaces];
    Dword4 in_flight_[kPieces];
};

// V is transposed on its way: a thread moves blocks of four keys by 2, 4 or 8 dimensions.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class ValueCopy {
public:
    CK_FMHA_DEVICE explicit ValueCopy(const RowsInMemory& values) : tiles_(values)
    {
        unroll<kBlocks>([&](auto n) {
            unroll<4>(
                [&](auto key) { offset_[n][key] = offset_in_buffer(values, 4 * quad(n) + key, first_dim() * 2); });
            unroll<kDims>(
                [&](auto d) { place_[n][d] = SharedValues<kTileK, kHeadDim>::place(first_dim() + d, quad(n)); });
        });
    }
    CK_FMHA_DEVICE void load(index_t tile)
    {
        const Buffer buffer = tiles_.tile(tile);
        unroll<kBlocks>([&](auto n) {
            unroll<4>([&](auto key) {
                const auto row = buffer.load(Constant<kDims / 2>{}, offset_[n][key]);
                __builtin_memcpy(in_flight_[n][key], &row, sizeof(row));
            });
        });
    }
    CK_FMHA_DEVICE void store(const SharedValues<kTileK, kHeadDim>& shared) const
    {
        unroll<kBlocks>([&](auto n) {
            unroll<kDims>([&](auto d) {
                constexpr index_t kDword = d / 2;
                constexpr unsigned kSelect = d % 2 == 0 ? 0x05040100u : 0x07060302u; // lower or upper halves
                const auto& rows = in_flight_[n];
                const Dword2 keys = {__builtin_amdgcn_perm(rows[1][kDword], rows[0][kDword], kSelect),
                                     __builtin_amdgcn_perm(rows[3][kDword], rows[2][kDword], kSelect)};
                shared.memory().store(place_[n][d], keys);
            });
        });
    }

private:
    static constexpr index_t kPerThread = kTileK * kHeadDim / (4 * kThreads); // dimensions of four keys
    static constexpr index_t kDims = kPerThread < 8 ? kPerThread : 8;
    static constexpr index_t kBlocks = kPerThread / kDims;
    static constexpr index_t kBlocksPerQuad = kHeadDim / kDims;
    static_assert(kDims >= 2, "ck_fmha: fewer threads or a larger tile");

    CK_FMHA_DEVICE static index_t first_dim() { return thread_index() % kBlocksPerQuad * kDims; }
    CK_FMHA_DEVICE static index_t quad(index_t n)
    {
        return thread_index() / kBlocksPerQuad + n * (kThreads / kBlocksPerQuad);
    }

    TilesInMemory<kTileK> tiles_;
    index_t offset_[kBlocks][4];
    index_t place_[kBlocks][kDims];
    unsigned in_flight_[kBlocks][4][kDims / 2];
};

// K and V of one tile at a time: the next one's loads are in flight, to registers, while this one is read.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class KeyValueTiles {
public:
    using Keys = SharedKeys<kTileK, kHeadDim>;
    using Values = SharedValues<kTileK, kHeadDim>;
    static constexpr index_t kBytes = Keys::kBytes + Values::kBytes;

    CK_FMHA_DEVICE KeyValueTiles(SharedMemory shared, const RowsInMemory& k, const RowsInMemory& v)
        : keys_(shared), values_(shared + Keys::kBytes), key_copy_(k), value_copy_(v)
    {
    }
    // Begins to load a tile.
    CK_FMHA_DEVICE void load(index_t tile)
    {
        key_copy_.load(tile);
        value_copy_.load(tile);
    }
    // From here on, keys() and values() are those of the tile loaded last; no wave reads the tile before any more.
    CK_FMHA_DEVICE void receive()
    {
        barrier();
        key_copy_.store(keys_);
        value_copy_.store(values_);
        barrier();
    }
    CK_FMHA_DEVICE const Keys& keys() const { return keys_; }
    CK_FMHA_DEVICE const Values& values() const { return values_; }

private:
    Keys keys_;
    Values values_;
    KeyCopy<kTileK, kHeadDim, kThreads> key_copy_;
    ValueCopy<kTileK, kHeadDim, kThreads> value_copy_;
};

} // namespace ck_fmha::gpu
