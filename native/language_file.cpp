// Reads a fastText model file, version 12: settings, dictionary, input matrix (dense, or product-quantised: Jegou et al.
// 2011), output matrix. Everything is checked here, so that nothing needs to be checked per text; what is not supported
// raises std::invalid_argument, and fastText itself is used.
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "language.hpp"

namespace smol::language {
namespace {

constexpr int32_t kMagic = 793712314, kVersion = 12, kSupervised = 3, kCentroids = 256;
constexpr uint64_t kMostOwnFloats = uint64_t{1} << 26;  // 256 MB of multiplied-out rows

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

class Reader {
  public:
    Reader(const char* data, size_t size) : p_(data), end_(data + size) {}
    const char* take(uint64_t size) {
        require(size <= static_cast<uint64_t>(end_ - p_), "the model file is cut off");
        const char* start = p_;
        p_ += size;
        return start;
    }
    template <class T>
    T read() {
        T value;
        std::memcpy(&value, take(sizeof value), sizeof value);
        return value;
    }
    bool read_bool() { return read<uint8_t>() != 0; }
    std::string_view read_string() {
        const void* stop = std::memchr(p_, 0, static_cast<size_t>(end_ - p_));
        require(stop != nullptr, "the model file is cut off");
        const size_t size = static_cast<size_t>(static_cast<const char*>(stop) - p_);
        return {take(size + 1), size};
    }

  private:
    const char *p_, *end_;
};

// Rows of centroids, and a factor for each row.
struct Quantised {
    int32_t dim, num_parts, part_dim, last_dim;
    std::vector<float> centroids;

    explicit Quantised(Reader& in) {
        dim = in.read<int32_t>();
        num_parts = in.read<int32_t>();
        part_dim = in.read<int32_t>();
        last_dim = in.read<int32_t>();
        require(dim > 0 && part_dim > 0 && last_dim > 0 && last_dim <= part_dim && num_parts > 0 &&
                    (num_parts - int64_t{1}) * part_dim + last_dim == dim,
                "odd product quantiser");
        centroids.resize(static_cast<size_t>(dim) * kCentroids);
        std::memcpy(centroids.data(), in.take(centroids.size() * sizeof(float)), centroids.size() * sizeof(float));
    }
    const float* part(int32_t number, uint8_t code) const {
        const size_t start = static_cast<size_t>(number) * kCentroids * static_cast<size_t>(part_dim);
        return &centroids[start + code * static_cast<size_t>(number + 1 == num_parts ? last_dim : part_dim)];
    }
};

struct Matrix {
    uint64_t num_rows = 0, dim = 0;
    const LooseFloat* in_place = nullptr;  // of a dense matrix
    std::vector<float> values, scale;      // of a quantised one: rows, and the factor of each
};

Matrix read_dense(Reader& in) {
    Matrix m;
    m.num_rows = in.read<uint64_t>();
    m.dim = in.read<uint64_t>();
    require(m.num_rows < (uint64_t{1} << 31) && m.dim <= 65536, "odd matrix");
    m.in_place = reinterpret_cast<const LooseFloat*>(in.take(m.num_rows * m.dim * sizeof(float)));
    return m;
}

Matrix read_quantised(Reader& in) {
    Matrix m;
    const bool has_norms = in.read_bool();
    m.num_rows = in.read<uint64_t>();
    m.dim = in.read<uint64_t>();
    const int32_t num_codes = in.read<int32_t>();
    require(m.num_rows < (uint64_t{1} << 31) && m.dim <= 65536 && num_codes >= 0, "odd matrix");
    require(m.num_rows * m.dim <= kMostOwnFloats, "a quantised matrix above 256 MB");
    const char* codes = in.take(static_cast<uint64_t>(num_codes));
    const Quantised parts(in);
    const auto num_parts = static_cast<uint64_t>(parts.num_parts);
    require(static_cast<uint64_t>(parts.dim) == m.dim && num_parts * m.num_rows == static_cast<uint64_t>(num_codes),
            "odd product quantiser");
    m.scale.assign(m.num_rows, 1.0f);
    if (has_norms) {
        const char* norm_codes = in.take(m.num_rows);
        const Quantised norms(in);
        require(norms.dim == 1, "odd norms");
        for (uint64_t i = 0; i < m.num_rows; ++i) m.scale[i] = *norms.part(0, static_cast<uint8_t>(norm_codes[i]));
    }
    m.values.reserve(m.num_rows * m.dim);
    for (uint64_t i = 0; i < m.num_rows; ++i) {
        for (int32_t number = 0; number < parts.num_parts; ++number) {
            const auto code = static_cast<uint8_t>(codes[i * num_parts + static_cast<uint64_t>(number)]);
            const float* part = parts.part(number, code);
            m.values.insert(m.values.end(), part, part + (number + 1 == parts.num_parts ? parts.last_dim : parts.part_dim));
        }
    }
    return m;
}

}  // namespace

Model::Model(const char* data, size_t size, size_t memo_bytes) : memo_(memo_bytes) {
    Reader in(data, size);
    require(in.read<int32_t>() == kMagic && in.read<int32_t>() == kVersion, "not a fastText model of version 12");
    const int32_t dim = in.read<int32_t>();
    in.take(4 * sizeof(int32_t));  // ws, epoch, minCount, neg: training only
    const int32_t word_ngrams = in.read<int32_t>(), loss = in.read<int32_t>(), kind = in.read<int32_t>();
    const int32_t num_buckets = in.read<int32_t>();
    minn_ = in.read<int32_t>();
    maxn_ = in.read<int32_t>();
    in.take(sizeof(int32_t) + sizeof(double));  // lrUpdateRate, t
    require(kind == kSupervised, "not a classifier");
    require(word_ngrams <= 1, "n-grams of words");
    require(loss >= 1 && loss <= 4, "unknown loss");
    require(dim > 0 && minn_ >= 0 && maxn_ >= 0 && num_buckets >= 0, "odd settings");
    require(maxn_ == 0 || num_buckets > 0, "n-grams without buckets");
    loss_ = static_cast<Loss>(loss);
    dim_ = static_cast<size_t>(dim);

    const int32_t num_entries = in.read<int32_t>(), num_words = in.read<int32_t>(), num_labels = in.read<int32_t>();
    in.take(sizeof(int64_t));  // ntokens
    const int64_t num_kept = in.read<int64_t>();
    require(num_words >= 0 && num_labels > 0 && int64_t{num_words} + num_labels == num_entries, "odd dictionary");
    num_words_ = static_cast<uint32_t>(num_words);
    std::vector<std::string_view> entries;
    std::vector<int64_t> label_counts;
    int64_t total = 0;
    for (int32_t i = 0; i < num_entries; ++i) {
        entries.push_back(in.read_string());
        const int64_t count = in.read<int64_t>();
        require(in.read_bool() == (i >= num_words), "words and labels mixed");
        if (i < num_words) continue;
        labels_.push_back(entries.back());
        label_counts.push_back(count);
        require(count >= 0 && count < int64_t{1} << 40 && (total += count) < int64_t{1} << 48, "odd counts");
    }
    dictionary_.build(std::move(entries));

    uint64_t num_rows = num_words_;
    if (num_kept < 0) {
        buckets_.keep_all(static_cast<uint32_t>(num_buckets), num_words_);
        if (maxn_ > 0) num_rows += static_cast<uint32_t>(num_buckets);
    } else {
        std::vector<std::pair<uint32_t, uint32_t>> kept;
        for (int64_t i = 0; i < num_kept; ++i) {
            const int32_t bucket = in.read<int32_t>(), row = in.read<int32_t>();
            require(bucket >= 0 && bucket < num_buckets && row >= 0, "odd pruning");
            num_rows = std::max(num_rows, uint64_t{num_words_} + static_cast<uint32_t>(row) + 1);
            kept.emplace_back(static_cast<uint32_t>(bucket), num_words_ + static_cast<uint32_t>(row));
        }
        buckets_.keep(static_cast<uint32_t>(num_buckets), kept);
    }

    const bool quantised = in.read_bool();
    require(quantised || num_kept < 0, "a pruned model that is not quantised");
    Matrix input = quantised ? read_quantised(in) : read_dense(in);
    require(input.dim == dim_ && input.num_rows >= num_rows && input.num_rows > 0, "rows are missing");
    rows_ = input.in_place;
    if (quantised) {
        // fastText multiplies a row by its norm each time it adds it, and rounds before it adds.
        own_rows_.resize(input.values.size());
        for (size_t i = 0; i < own_rows_.size(); ++i) own_rows_[i] = input.scale[i / dim_] * input.values[i];
        rows_ = own_rows_.data();
    }

    const bool quantised_output = in.read_bool() && quantised;
    Matrix output = quantised_output ? read_quantised(in) : read_dense(in);
    require(output.dim == dim_ && output.num_rows == labels_.size(), "outputs are missing");
    if (!quantised_output) {
        output.values.assign(output.in_place, output.in_place + output.num_rows * output.dim);
        output.scale.assign(output.num_rows, 1.0f);
    }
    for (const float x : output.values) require(std::fabs(x) < 1e15f, "a weight that is not finite");
    for (const float x : output.scale) require(std::fabs(x) < 1e6f, "a norm that is not finite");
    output_.build(loss_, dim_, std::move(output.values), std::move(output.scale), label_counts);
}

}  // namespace smol::language
