// A bound mask, written as structure and image by the host and read as a kernel reads it.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>

#include "fmha/mask_expr.hpp"
#include "gpu/kernel/mask_image.hpp"
#include "mask_examples.hpp"

namespace ck_fmha {
namespace {

using ck_tile_masks::DynamicTile;
using ck_tile_masks::GenericAttentionMask;
using ck_tile_masks::MaskCall;
namespace structure = gpu::structure;

// An image with data of its own: what it was written from may go.
class OwnedImage {
public:
    explicit OwnedImage(const BoundMask& bound)
    {
        MaskImageWriter writer;
        bound.write_image(writer);
        structure_ = writer.structure();
        bytes_ = Bytes(writer.bytes().begin(), writer.bytes().end());
        for (const ImageAddress& address : writer.addresses()) {
            Bytes& copy = arrays_.emplace_back(static_cast<const char*>(address.data),
                                               static_cast<const char*>(address.data) + address.size);
            const char* where = copy.data();
            std::memcpy(bytes_.data() + address.offset, &where, sizeof(where));
        }
        words_.resize(bytes_.size() / sizeof(Word));
        std::memcpy(words_.data(), bytes_.data(), bytes_.size());
    }
    const std::string& structure() const { return structure_; }
    const char* data() const { return reinterpret_cast<const char*>(words_.data()); }
    size_t size() const { return bytes_.size(); }

private:
    using Bytes = std::vector<char>;
    struct alignas(16) Word {
        char bytes[16];
    };

    std::string structure_;
    Bytes bytes_;
    std::vector<Bytes> arrays_;
    std::vector<Word> words_; // aligned as on a device
};

struct Observed {
    std::vector<bool> elements;
    std::vector<int> tiles;
    bool operator==(const Observed& other) const { return elements == other.elements && tiles == other.tiles; }
};

template <class Mask>
Observed observe(const Mask& mask, index_t sq, index_t sk)
{
    const GenericAttentionMask<Mask> tiled(mask, {0, 0, sq, sk}, DynamicTile{32, 24});
    Observed seen;
    for (index_t i = 0; i < sq; ++i)
        for (index_t j = 0; j < sk; ++j)
            seen.elements.push_back(tiled.ElementwiseMask(i, j));
    for (index_t i = 0; i < tiled.num_tiles_y(); ++i)
        for (auto j = tiled.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance())
            seen.tiles.push_back(static_cast<int>(tiled.StatusOfLiveTile(i, j.current())));
    for (index_t j = 0; j < tiled.num_tiles_x(); ++j)
        for (auto i = tiled.GetTileIndexIteratorAlongY(j); !i.at_end(); i.advance())
            seen.tiles.push_back(i.current());
    return seen;
}

template <class Structure>
Observed read(const OwnedImage& image, index_t sq, index_t sk)
{
    return observe(gpu::MaskImage<Structure>(image.data()), sq, sk);
}

// What an instance is compiled for: the type that a structure names.
const std::map<std::string, std::function<Observed(const OwnedImage&, index_t, index_t)>>& readers()
{
#define CK_FMHA_READER(...) {#__VA_ARGS__, read<__VA_ARGS__>}
    using namespace structure;
    static const std::map<std::string, std::function<Observed(const OwnedImage&, index_t, index_t)>> all = {
        CK_FMHA_READER(full),
        CK_FMHA_READER(diagonal),
        CK_FMHA_READER(prefix_lm),
        CK_FMHA_READER(longformer),
        CK_FMHA_READER(longformer_tokens),
        CK_FMHA_READER(big_bird),
        CK_FMHA_READER(big_bird_table),
        CK_FMHA_READER(strided),
        CK_FMHA_READER(fixed),
        CK_FMHA_READER(documents),
        CK_FMHA_READER(lengths),
        CK_FMHA_READER(neighborhood),
        CK_FMHA_READER(block_list),
        CK_FMHA_READER(deepspeed_fixed),
        CK_FMHA_READER(deepspeed_variable),
        CK_FMHA_READER(deepspeed_longformer),
        CK_FMHA_READER(deepspeed_big_bird),
        CK_FMHA_READER(deepspeed_big_bird_table),
        CK_FMHA_READER(and_<big_bird, diagonal>),
        CK_FMHA_READER(or_<lengths, documents>),
        CK_FMHA_READER(not_<strided>),
        CK_FMHA_READER(transpose<deepspeed_variable>),
        CK_FMHA_READER(shift<prefix_lm>),
        CK_FMHA_READER(and_<or_<not_<diagonal>, longformer_tokens>, transpose<shift<strided>>>),
        CK_FMHA_READER(and_<diagonal, longformer>),
    };
#undef CK_FMHA_READER
    return all;
}

TEST(MaskImage, KernelsSeeTheMaskThatTheHostBound)
{
    for (const MaskExample& example : mask_examples())
        for (const index_t batch : {0, 1})
            for (const index_t head : {0, 1}) {
                SCOPED_TRACE(example.structure + " batch " + std::to_string(batch) + " head " + std::to_string(head));
                std::unique_ptr<OwnedImage> image;
                Observed expected;
                {
                    const auto mask = example.build();
                    const auto bound = mask->bind({batch, head, example.seqlen_q, example.seqlen_k});
                    expected = observe(MaskRef(*bound), example.seqlen_q, example.seqlen_k);
                    image = std::make_unique<OwnedImage>(*bound);
                }
                const auto reader = readers().find(image->structure());
                ASSERT_NE(reader, readers().end()) << "structure " << image->structure();
                EXPECT_TRUE(reader->second(*image, example.seqlen_q, example.seqlen_k) == expected);
            }
}

TEST(MaskImage, ExamplesHaveEveryStructure)
{
    std::map<std::string, int> seen;
    for (const MaskExample& example : mask_examples())
        for (const index_t head : {0, 1})
            ++seen[OwnedImage(*example.build()->bind({head, head, example.seqlen_q, example.seqlen_k})).structure()];
    for (const auto& [name, reader] : readers())
        EXPECT_EQ(seen.count(name), 1u) << name;
}

TEST(MaskImage, ImagesFollowEachOtherAligned)
{
    MaskImageWriter writer;
    std::vector<size_t> begins;
    for (const MaskExample& example : mask_examples()) {
        writer.next_image();
        begins.push_back(writer.bytes().size());
        const auto mask = example.build();
        const auto bound = mask->bind({1, 1, example.seqlen_q, example.seqlen_k});
        bound->write_image(writer);
        const OwnedImage alone(*bound);
        EXPECT_EQ(writer.structure(), alone.structure());
        EXPECT_EQ(writer.bytes().size() - begins.back(), alone.size());
    }
    for (const size_t begin : begins)
        EXPECT_EQ(begin % 16, 0u);
}

} // namespace
} // namespace ck_fmha
