// From the mean of the rows to labels and scores. The formulas, their order and their types are fastText 0.9.2's
// (loss.cc); see language.hpp.
#include <algorithm>
#include <cmath>

#include "language.hpp"

namespace smol::language {
namespace {

// Log scores nearer to each other than this are left to fastText: which of two equal labels comes first is a matter of
// its heap, and a float of exp() may be the same for both.
constexpr float kTie = 1e-5f;

float log_of(float x) { return static_cast<float>(std::log(x + 1e-5)); }

}  // namespace

void Output::build(Loss loss, size_t dim, std::vector<float> weights, std::vector<float> scale,
                   const std::vector<int64_t>& label_counts) {
    loss_ = loss;
    dim_ = dim;
    num_labels_ = label_counts.size();
    scale_ = std::move(scale);
    if (loss == Loss::kHierarchical) {
        weights_ = std::move(weights);
        build_tree(label_counts);
        return;
    }
    weights_.resize(weights.size());
    for (size_t i = 0; i < weights.size(); ++i) weights_[i % dim * num_labels_ + i / dim] = weights[i];
    for (int i = 0; i <= 512; ++i) {  // a table of 512 steps from -8 to 8
        const float x = static_cast<float>(i * 2 * 8) / 512 - 8;
        sigmoid_.push_back(static_cast<float>(1.0 / (1.0 + std::exp(-x))));
    }
}

// Huffman's tree over labels in falling order of their counts.
void Output::build_tree(const std::vector<int64_t>& label_counts) {
    const auto n = static_cast<int32_t>(num_labels_);
    const size_t num_nodes = 2 * num_labels_ - 1;
    std::vector<int64_t> counts(label_counts);
    counts.resize(num_nodes, int64_t{1000000000000000});  // not made yet: never the smaller one
    std::vector<int32_t> parent(num_nodes, -1);
    std::vector<bool> right(num_nodes, false);
    int32_t leaf = n - 1, inner = n;
    for (int32_t made = n; made < static_cast<int32_t>(num_nodes); ++made) {
        auto smallest = [&] {
            return leaf >= 0 && counts[static_cast<size_t>(leaf)] < counts[static_cast<size_t>(inner)] ? leaf-- : inner++;
        };
        const int32_t a = smallest(), b = smallest();
        children_.emplace_back(a, b);
        counts[static_cast<size_t>(made)] = counts[static_cast<size_t>(a)] + counts[static_cast<size_t>(b)];
        parent[static_cast<size_t>(a)] = parent[static_cast<size_t>(b)] = made;
        right[static_cast<size_t>(b)] = true;
    }
    size_t depth = 0;
    for (int32_t label = 0; label < n; ++label) {
        std::vector<Step> path;
        for (int32_t node = label; parent[static_cast<size_t>(node)] >= 0; node = parent[static_cast<size_t>(node)])
            path.push_back({static_cast<uint32_t>(parent[static_cast<size_t>(node)] - n), right[static_cast<size_t>(node)]});
        std::reverse(path.begin(), path.end());
        depth = std::max(depth, path.size());
        paths_.push_back(std::move(path));
    }
    // A step down can raise a log score, by log(1 + 1e-5) and rounding.
    margin_ = 2e-5f * static_cast<float>(depth) + 2 * kTie;
}

float Output::right_share(const float* hidden, size_t row) const {
    const float* weights = &weights_[row * dim_];
    float sum = 0;
    for (size_t j = 0; j < dim_; ++j) sum += weights[j] * hidden[j];
    sum *= scale_[row];
    return static_cast<float>(1. / (1 + std::exp(-sum)));
}

// Depth first, the likelier child first; fastText visits all, in another order, and no score depends on the order.
bool Output::best_leaf(const float* hidden, uint32_t& label, float& score) const {
    const float floor = log_of(0.0f);
    float best = -INFINITY, second = -INFINITY;
    const auto n = static_cast<int32_t>(num_labels_);
    std::vector<std::pair<int32_t, float>> open{{2 * n - 2, 0.0f}};
    while (!open.empty()) {
        const auto [node, sum] = open.back();
        open.pop_back();
        if (sum < floor || sum < best - margin_) continue;
        if (node < n) {
            if (sum > best) {
                second = best;
                best = sum;
                label = static_cast<uint32_t>(node);
            } else {
                second = std::max(second, sum);
            }
            continue;
        }
        const auto row = static_cast<size_t>(node - n);
        const float f = right_share(hidden, row);
        const std::pair<int32_t, float> left{children_[row].first, sum + log_of(static_cast<float>(1.0 - f))};
        const std::pair<int32_t, float> right{children_[row].second, sum + log_of(f)};
        open.push_back(f > 0.5f ? left : right);
        open.push_back(f > 0.5f ? right : left);
    }
    score = std::exp(best);
    return best - second >= kTie;
}

// The scores of all labels. Labels side by side, so that each one's products are added in fastText's order.
std::vector<float> Output::layer(const float* hidden) const {
    std::vector<float> out(num_labels_, 0.0f);
    float* o = out.data();
    const float* w = weights_.data();
    const size_t n = num_labels_;
    size_t j = 0;
    for (; j + 4 <= dim_; j += 4, w += 4 * n) {
        const float *h = hidden + j, *a = w, *b = a + n, *c = b + n, *d = c + n;
        for (size_t i = 0; i < n; ++i) o[i] = (((o[i] + a[i] * h[0]) + b[i] * h[1]) + c[i] * h[2]) + d[i] * h[3];
    }
    for (; j < dim_; ++j, w += n)
        for (size_t i = 0; i < n; ++i) o[i] += w[i] * hidden[j];
    for (size_t i = 0; i < num_labels_; ++i) o[i] *= scale_[i];
    if (loss_ != Loss::kSoftmax) {
        for (float& x : out) x = x < -8 ? 0.0f : x > 8 ? 1.0f : sigmoid_[static_cast<size_t>((x + 8) * 512 / 8 / 2)];
        return out;
    }
    const float most = *std::max_element(out.begin(), out.end());
    float sum = 0;
    for (float& x : out) {
        x = static_cast<float>(std::exp(static_cast<double>(x - most)));
        sum += x;
    }
    for (float& x : out) x /= sum;
    return out;
}

bool Output::best(const float* hidden, uint32_t& label, float& score) const {
    if (loss_ == Loss::kHierarchical) return best_leaf(hidden, label, score);
    const std::vector<float> out = layer(hidden);
    const auto top = std::max_element(out.begin(), out.end());
    float second = -INFINITY;
    for (auto it = out.begin(); it != out.end(); ++it)
        if (it != top) second = std::max(second, *it);
    label = static_cast<uint32_t>(top - out.begin());
    const float best = log_of(*top);
    score = std::exp(best);
    return out.size() == 1 || best - log_of(second) >= kTie;
}

void Output::scores(const float* hidden, const std::vector<uint32_t>& labels, std::vector<float>& out) const {
    out.clear();
    if (loss_ != Loss::kHierarchical) {
        const std::vector<float> all = layer(hidden);
        for (const uint32_t label : labels) out.push_back(std::exp(log_of(all[label])));
        return;
    }
    const float floor = log_of(0.0f);
    for (const uint32_t label : labels) {
        float sum = 0;
        for (const Step step : paths_[label]) {
            if (sum < floor) break;
            const float f = right_share(hidden, step.row);
            sum += log_of(step.right ? f : static_cast<float>(1.0 - f));
        }
        out.push_back(sum < floor ? 0.0f : std::exp(sum));
    }
}

}  // namespace smol::language
