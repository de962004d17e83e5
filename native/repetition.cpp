// Gopher's repetition rules. Stock makes a Python string of every n-gram and puts it into a set or a Counter. Here an
// n-gram is a span of one buffer: all words one after the other, either directly ("" between them, as stock joins for
// duplicate n-grams, where "ab"+"c" equals "a"+"bc") or each followed by a space (as stock joins for top n-grams; the
// space behind the last word changes no equality). The hash of a span comes out of prefix sums, and spans with equal
// hashes are compared as bytes, so equality is exactly equality of stock's strings.
#include <algorithm>
#include <cstring>

#include "first_seen.hpp"
#include "gopher.hpp"
#include "memo.hpp"
#include "polynomial.hpp"

namespace smol {
namespace {

Verdict dropped(std::string reason) { return {Verdict::kDropped, std::move(reason)}; }

double share(uint64_t part, uint64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

struct Duplicates {
    uint64_t elements = 0, chars = 0;
};

// datatrove's find_duplicates.
Duplicates find_duplicates(const std::vector<std::string_view>& items) {
    Duplicates result;
    FirstSeen seen(items.size());
    for (uint32_t i = 0; i < items.size(); ++i) {
        const std::string_view item = items[i];
        if (seen.find_or_add(Key(item).hash() * kSpread, i, [&](uint32_t j) { return items[j] == item; }) >= 0) {
            ++result.elements;
            result.chars += count_chars(item.data(), item.size());
        }
    }
    return result;
}

// re.split on runs of at least `shortest` line feeds.
std::vector<std::string_view> split_runs(std::string_view text, size_t shortest) {
    std::vector<std::string_view> parts;
    size_t begin = 0;
    for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at)) {
        size_t end = at;
        while (end < text.size() && text[end] == '\n') ++end;
        if (end - at >= shortest) {
            parts.push_back(text.substr(begin, at - begin));
            begin = end;
        }
        at = end;
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::string_view strip(const CharTable& chars, std::string_view text) {
    const char *begin = text.data(), *end = begin + text.size();
    while (begin < end) {
        const unsigned n = space_at(chars, begin);
        if (!n) break;
        begin += n;
    }
    while (begin < end) {
        const char* last = previous_char(end);
        if (!space_at(chars, last)) break;
        end = last;
    }
    return {begin, static_cast<size_t>(end - begin)};
}

// Hashes and lengths of all n-grams, from prefix sums over the words.
class Grams {
  public:
    Grams(const Document& doc, bool spaced)
        : spaced_(spaced), places_(doc.words.size() + 1), chars_(doc.words.size() + 1) {
        uint64_t power = 1, inverse = kSpread, sum = 0;
        uint32_t chars = 0;
        const size_t count = doc.words.size();
        for (size_t i = 0; i < count; ++i) {
            const Word& word = doc.words[i];
            places_[i] = {sum, inverse};
            chars_[i] = chars;
            sum += word.hash * power;
            power *= kPowers.of(word.bytes);
            inverse *= kPowers.inverse_of(word.bytes);
            chars += word.chars;
            if (spaced) {
                sum += ' ' * power;
                power *= kBase;
                inverse *= kInverse;
                ++chars;
            }
        }
        places_[count] = {sum, inverse};
        chars_[count] = chars;
    }
    bool spaced() const { return spaced_; }
    // A difference of sums is the n-gram's hash times kBase ^ (bytes before it); this is that hash times kSpread.
    uint64_t hash(size_t i, uint32_t n) const { return (places_[i + n].sum - places_[i].sum) * places_[i].inverse; }
    // Of stock's string: the space behind the last word is not in it.
    uint32_t chars(size_t i, uint32_t n) const { return chars_[i + n] - chars_[i] - spaced_; }
    uint32_t chars_before(size_t i) const { return chars_[i]; }

  private:
    struct Place {
        uint64_t sum;      // hash of everything before
        uint64_t inverse;  // kSpread * kBase ^ -(bytes before)
    };
    const bool spaced_;
    std::vector<Place> places_;
    std::vector<uint32_t> chars_;  // before
};

// The bytes of all words one after the other, to compare n-grams with equal hashes.
class Joined {
  public:
    Joined(const Document& doc, bool spaced) {
        offsets_.reserve(doc.words.size() + 1);
        for (const Word& word : doc.words) {
            offsets_.push_back(static_cast<uint32_t>(text_.size()));
            text_ += doc.word(word);
            if (spaced) text_ += ' ';
        }
        offsets_.push_back(static_cast<uint32_t>(text_.size()));
    }
    bool same(size_t i, size_t j, uint32_t n) const {
        const uint32_t bytes = offsets_[i + n] - offsets_[i];
        return offsets_[j + n] - offsets_[j] == bytes &&
               std::memcmp(&text_[offsets_[i]], &text_[offsets_[j]], bytes) == 0;
    }

  private:
    std::string text_;
    std::vector<uint32_t> offsets_;
};

uint64_t scramble(uint64_t x) {
    x ^= x >> 32;
    return x * 0xD6E8FEB86659FD93u;
}

// Counts without keys: two n-grams that share a slot are taken for equal. That can only make counts too large, which is
// what an upper bound may be. A document whose bound stays within the limit is settled; the others are counted exactly.
class Bounds {
  public:
    // At least find_top_duplicate's result for n-grams of n words.
    uint64_t top_chars(const Grams& grams, size_t count, uint32_t n) {
        size_t size = 256;
        int shift = 56;
        for (; size < count * 4; size *= 2) --shift;
        counts_.assign(size, 0);
        slots_.resize(count);
        for (size_t i = 0; i < count; ++i) {
            slots_[i] = static_cast<uint32_t>(scramble(grams.hash(i, n)) >> shift);
            ++counts_[slots_[i]];
        }
        return longest_counted(grams, count, n);
    }
    // The same for more words than the last call's, where no word has a space inside: equal n-grams then have equal words,
    // so an n-gram is not more frequent than its first words are.
    uint64_t longest_counted(const Grams& grams, size_t count, uint32_t n) const {
        uint64_t most = 0;
        for (size_t i = 0; i < count; ++i) most = std::max(most, uint64_t{counts_[slots_[i]]} * grams.chars(i, n));
        return most;
    }

    // At least find_all_duplicate's result: n-grams that count there do not overlap, and each occurs earlier too. So they
    // lie within the union of all that occur earlier. "Earlier" is one bit per n-gram in a filter of 128 times as many.
    uint64_t duplicated_chars(const Grams& grams, size_t count, uint32_t n) {
        size_t size = 16;
        int shift = 54;  // size * 64 == 2 ^ (64 - shift)
        for (; size < count * 2; size *= 2) --shift;
        bits_.assign(size, 0);
        uint64_t* const bits = bits_.data();
        uint64_t chars = 0, covered = 0;
        for (size_t i = 0; i < count; ++i) {
            const uint64_t place = grams.hash(i, n) >> shift;
            const uint64_t bit = uint64_t{1} << (place & 63), seen = bits[place >> 6];
            bits[place >> 6] = seen | bit;
            if (!(seen & bit)) continue;
            const uint64_t begin = grams.chars_before(i), end = grams.chars_before(i + n);
            chars += end - std::max(begin, covered);
            covered = end;
        }
        return chars;
    }

  private:
    std::vector<uint32_t> counts_, slots_;
    std::vector<uint64_t> bits_;
};

// Counts n-grams exactly, as stock does; made for a document whose bounds do not settle it.
class Exact {
  public:
    explicit Exact(const Document& doc) : doc_(doc), seen_(doc.words.size()) {}

    // datatrove's find_top_duplicate: the most frequent n-gram, the one seen first when several are; its characters times
    // its occurrences.
    uint64_t top_chars(const Grams& grams, size_t count, uint32_t n) {
        const Joined& words = joined(grams.spaced());
        seen_.clear();
        counts_.assign(count, 0);
        uint32_t best = 0;
        for (uint32_t i = 0; i < count; ++i) {
            const int64_t found =
                seen_.find_or_add(grams.hash(i, n), i, [&](uint32_t j) { return words.same(i, j, n); });
            const uint32_t first = found < 0 ? i : static_cast<uint32_t>(found);
            const uint32_t times = ++counts_[first];
            if (times > counts_[best] || (times == counts_[best] && first < best)) best = first;
        }
        return uint64_t{grams.chars(best, n)} * counts_[best];
    }

    // datatrove's find_all_duplicate: characters in n-grams seen before; behind one, the search goes on after its end.
    uint64_t duplicated_chars(const Grams& grams, size_t count, uint32_t n) {
        const Joined& words = joined(grams.spaced());
        seen_.clear();
        uint64_t chars = 0;
        for (size_t i = 0; i < count;) {
            const bool before = seen_.find_or_add(grams.hash(i, n), static_cast<uint32_t>(i),
                                                  [&](uint32_t j) { return words.same(i, j, n); }) >= 0;
            if (before) chars += grams.chars(i, n);
            i += before ? n : 1;
        }
        return chars;
    }

  private:
    const Joined& joined(bool spaced) {
        auto& words = spaced ? spaced_ : plain_;
        if (!words) words.emplace(doc_, spaced);
        return *words;
    }
    const Document& doc_;
    FirstSeen seen_;
    std::optional<Joined> spaced_, plain_;
    std::vector<uint32_t> counts_;
};

}  // namespace

Verdict RepetitionRules::judge_lines(const CharTable& chars, std::string_view text, uint64_t text_chars) const {
    if (text.empty()) return dropped("empty");
    if (dup_para || dup_para_char) {
        const auto paragraphs = split_runs(strip(chars, text), 2);
        const Duplicates found = find_duplicates(paragraphs);
        if (dup_para && share(found.elements, paragraphs.size()) > dup_para.value) return dropped("dup_para_frac");
        if (dup_para_char && share(found.chars, text_chars) > dup_para_char.value) return dropped("dup_para_char_frac");
    }
    if (dup_line || dup_line_char) {
        const auto lines = split_runs(text, 1);
        const Duplicates found = find_duplicates(lines);
        if (dup_line && share(found.elements, lines.size()) > dup_line.value) return dropped("dup_line_frac");
        if (dup_line_char && share(found.chars, text_chars) > dup_line_char.value) return dropped("dup_line_char_frac");
    }
    return {};
}

Verdict RepetitionRules::judge_words(const Document& doc) const {
    const size_t words = doc.words.size();
    if (words > kManyWords) return judge_many_words(doc);
    std::optional<Exact> exact;
    auto exactly = [&]() -> Exact& { return exact ? *exact : exact.emplace(doc); };
    if (!top.empty()) {
        const Grams grams(doc, true);
        Bounds bounds;
        uint32_t counted = 0;  // the words that bounds has counted
        bool spaces = false;
        for (const Word& word : doc.words) spaces |= (word.flags & kSpace) != 0;
        for (const auto [n, limit] : top) {
            if (words < n) continue;
            const size_t count = words - n + 1;
            if (counted && n > counted && !spaces &&
                !(share(bounds.longest_counted(grams, count, n), doc.chars) > limit))
                continue;
            counted = n;
            if (!(share(bounds.top_chars(grams, count, n), doc.chars) > limit)) continue;
            if (share(exactly().top_chars(grams, count, n), doc.chars) > limit)
                return dropped("top_" + std::to_string(n) + "_gram");
        }
    }
    if (!duplicated.empty()) {
        const Grams grams(doc, false);
        Bounds bounds;
        for (const auto [n, limit] : duplicated) {
            const size_t count = words < n ? 0 : words - n + 1;
            if (!(share(bounds.duplicated_chars(grams, count, n), doc.chars) > limit)) continue;
            if (share(exactly().duplicated_chars(grams, count, n), doc.chars) > limit)
                return dropped("duplicated_" + std::to_string(n) + "_n_grams");
        }
    }
    return {};
}

}  // namespace smol
