#pragma once

#include "gpu/tile/rows_in_memory.hpp"
#include "gpu/tile/shared_tiles_amd.hpp"

// Tiles on their way to shared memory: `load` sends the loads of a tile, which stay in flight while another tile is
// computed; `store` waits for them and writes what came. Rows past the end and dimensions past head_dim come as zeros.

namespace ck_fmha::gpu {

// From a tile's first row; outside its buffer past the end of a row.
CK_FMHA_DEVICE index_t offset_in_buffer(const RowsInMemory& rows, index_t row, index_t byte)
{
    return (byte < rows.used_bytes ? byte : Buffer::kOutside) + row * static_cast<index_t>(rows.row_bytes);
}

// Rows in tiles of kTileRows. The base of a tile's buffer moves, so that offsets stay small in tensors of any size; the
// last tile ends with its last row's last element. kIsScarce: scalar registers are.
template <index_t kTileRows, bool kIsScarce = false>
class TilesInMemory {
public:
    CK_FMHA_DEVICE explicit TilesInMemory(const RowsInMemory& rows) : of_rows_(numbers_of(rows)) {}
    CK_FMHA_DEVICE Buffer tile(index_t n) const
    {
        const Numbers& rows = of_rows_.get();
        return Buffer(rows.data + static_cast<bits_t>(static_cast<unsigned>(n)) * rows.tile_bytes,
                      n == rows.last_tile ? rows.last_size : rows.full_size);
    }

private:
    struct Numbers {
        const char* data;
        unsigned tile_bytes;
        index_t full_size;
        index_t last_tile;
        index_t last_size;
    };
    CK_FMHA_DEVICE static Numbers numbers_of(const RowsInMemory& rows)
    {
        const index_t last_tile = (rows.num_rows - 1) / kTileRows;
        return {rows.data, kTileRows * static_cast<unsigned>(rows.row_bytes), size_of(rows, kTileRows), last_tile,
                size_of(rows, rows.num_rows - last_tile * kTileRows)};
    }
    CK_FMHA_DEVICE static index_t size_of(const RowsInMemory& rows, index_t count)
    {
        return (count - 1) * static_cast<index_t>(rows.row_bytes) + rows.used_bytes;
    }

    Seldom<2, Numbers, kIsScarce> of_rows_;
};

// Every thread moves pieces of 16 bytes, each of one row.
template <index_t kTileRows, index_t kHeadDim, index_t kThreads>
class RowCopy {
    using Shared = SharedRows<kTileRows, kHeadDim>;

public:
    CK_FMHA_DEVICE explicit RowCopy(const RowsInMemory& rows) : tiles_(rows)
    {
        unroll<kPieces>([&](auto n) { offset_[n] = offset_in_buffer(rows, row(n), piece() * 16); });
        unroll<kPlaces>([&](auto n) { place_[n] = Shared::place(row(n), piece()); });
    }
    CK_FMHA_DEVICE void load(index_t tile)
    {
        const Buffer buffer = tiles_.tile(tile);
        unroll<kPieces>([&](auto n) { in_flight_[n] = buffer.load(Constant<4>{}, offset_[n]); });
    }
    CK_FMHA_DEVICE void store(const Shared& shared) const
    {
        unroll<kPieces>([&](auto n) {
            constexpr index_t kRows = n / kPlaces * kPlaces * kRowsAtOnce;
            shared.memory().store(place_[n % kPlaces] + kRows * Shared::kRowBytes, in_flight_[n]);
        });
    }

private:
    static constexpr index_t kPiecesPerRow = kHeadDim / 8;
    static constexpr index_t kRowsAtOnce = kThreads / kPiecesPerRow;
    static constexpr index_t kPieces = kTileRows / kRowsAtOnce;
    static_assert(kPieces >= 1 && kTileRows % kRowsAtOnce == 0, "ck_fmha: threads do not share the tile evenly");
    // The swizzle repeats every 8 rows: there a piece has the same place, rows further.
    static constexpr index_t kPlaces = kPieces == 1 || kRowsAtOnce >= 8 ? 1 : 8 / kRowsAtOnce;

    CK_FMHA_DEVICE static index_t piece() { return thread_index() % kPiecesPerRow; }
    CK_FMHA_DEVICE static index_t row(index_t n) { return thread_index() / kPiecesPerRow + n * kRowsAtOnce; }

    TilesInMemory<kTileRows> tiles_;
    index_t offset_[kPieces];
    index_t place_[kPlaces];
    Dword4 in_flight_[kPieces];
};

// A tile that is transposed on its way, and may be stored as it is, too: a thread moves blocks of four rows by 2, 4 or
// 8 dimensions.
template <index_t kTileRows, index_t kHeadDim, index_t kThreads, bool kIsScarce = false>
class TransposingCopy {
    static constexpr index_t kPieces = kTileRows / 4 * kHeadDim;                        // dimensions of four rows
    static constexpr index_t kMovers = kPieces < 2 * kThreads ? kPieces / 2 : kThreads; // threads that have some
    static constexpr index_t kPerThread = kPieces / kMovers;
    static constexpr index_t kDims = kPerThread < 8 ? kPerThread : 8;
    static constexpr index_t kBlocks = kPerThread / kDims;
    static constexpr index_t kBlocksPerQuad = kHeadDim / kDims;
    static_assert(kPieces % kMovers == 0 && kPerThread % kDims == 0, "ck_fmha: threads do not share the tile evenly");
    using Dwords = unsigned __attribute__((ext_vector_type(kDims / 2)));

public:
    CK_FMHA_DEVICE explicit TransposingCopy(const RowsInMemory& rows) : tiles_(rows)
    {
        unroll<kBlocks>([&](auto n) {
            unroll<4>([&](auto row) {
                offset_[n][row] =
                    moves() ? offset_in_buffer(rows, 4 * quad(n) + row, first_dim() * 2) : Buffer::kOutside;
            });
            unroll<kDims>(
                [&](auto d) { place_[n][d] = SharedTransposed<kTileRows, kHeadDim>::place(first_dim() + d, quad(n)); });
        });
    }
    CK_FMHA_DEVICE void load(index_t tile)
    {
        const Buffer buffer = tiles_.tile(tile);
        unroll<kBlocks>([&](auto n) {
            unroll<4>([&](auto row) {
                const auto dims = buffer.load(Constant<kDims / 2>{}, offset_[n][row]);
                __builtin_memcpy(in_flight_[n][row], &dims, sizeof(dims));
            });
        });
    }
    CK_FMHA_DEVICE void store(const SharedTransposed<kTileRows, kHeadDim>& shared) const
    {
        if (!moves()) return;
        unroll<kBlocks>([&](auto n) {
            unroll<kDims>([&](auto d) {
                constexpr index_t kDword = d / 2;
                constexpr unsigned kSelect = d % 2 == 0 ? 0x05040100u : 0x07060302u; // lower or upper halves
                const auto& rows = in_flight_[n];
                const Dword2 four = {__builtin_amdgcn_perm(rows[1][kDword], rows[0][kDword], kSelect),
                                     __builtin_amdgcn_perm(rows[3][kDword], rows[2][kDword], kSelect)};
                shared.memory().store(place_[n][d], four);
            });
        });
    }
    // Where this thread's part of an untransposed tile lies.
    class RowPlaces {
        friend class TransposingCopy;
        index_t place_[kBlocks][4];
    };
    CK_FMHA_DEVICE static RowPlaces row_places()
    {
        RowPlaces places;
        unroll<kBlocks>([&](auto n) {
            unroll<4>([&](auto row) {
                places.place_[n][row] =
                    SharedRows<kTileRows, kHeadDim>::place(4 * quad(n) + row, first_dim() / 8) + first_dim() % 8 * 2;
            });
        });
        return places;
    }
    CK_FMHA_DEVICE void store_rows(const SharedRows<kTileRows, kHeadDim>& shared, const RowPlaces& places) const
    {
        if (!moves()) return;
        unroll<kBlocks>([&](auto n) {
            unroll<4>([&](auto row) {
                Dwords dims;
                __builtin_memcpy(&dims, in_flight_[n][row], sizeof(dims));
                shared.memory().store(places.place_[n][row], dims);
            });
        });
    }

private:
    CK_FMHA_DEVICE static bool moves() { return kMovers == kThreads || thread_index() < kMovers; }
    CK_FMHA_DEVICE static index_t first_dim() { return thread_index() % kBlocksPerQuad * kDims; }
    CK_FMHA_DEVICE static index_t quad(index_t n)
    {
        return thread_index() / kBlocksPerQuad + n * (kMovers / kBlocksPerQuad);
    }

    TilesInMemory<kTileRows, kIsScarce> tiles_;
    index_t offset_[kBlocks][4];
    index_t place_[kBlocks][kDims];
    unsigned in_flight_[kBlocks][4][kDims / 2];
};

// Pairs of float32, one a row, on their way to shared memory: the first numbers of a tile, then the second ones. The
// first wave moves them, both halves of it the same ones: no lanes need to be switched off.
template <index_t kTileRows>
class PairCopy {
public:
    CK_FMHA_DEVICE PairCopy(const Float2* pairs, index_t num_rows)
        : tiles_({reinterpret_cast<const char*>(pairs), sizeof(Float2), sizeof(Float2), num_rows})
    {
    }
    CK_FMHA_DEVICE void load(index_t tile)
    {
        if (wave_index<kWaveSize>() == 0) in_flight_ = tiles_.tile(tile).load(Constant<2>{}, row() * 8);
    }
    CK_FMHA_DEVICE void store(const SharedMemory& shared) const
    {
        if (wave_index<kWaveSize>() != 0) return;
        shared.store(row() * 4, in_flight_.x);
        shared.store((row() + kTileRows) * 4, in_flight_.y);
    }

private:
    CK_FMHA_DEVICE static index_t row() { return lane_index() % kTileRows; }

    TilesInMemory<kTileRows> tiles_;
    Dword2 in_flight_ = {0, 0};
};

// K and V of one tile at a time: the next one's loads are in flight, to registers, while this one is read.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class KeyValueTiles {
public:
    using Keys = SharedRows<kTileK, kHeadDim>;
    using Values = SharedTransposed<kTileK, kHeadDim>;
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
    RowCopy<kTileK, kHeadDim, kThreads> key_copy_;
    TransposingCopy<kTileK, kHeadDim, kThreads> value_copy_;
};

} // namespace ck_fmha::gpu
