// See tree.hpp.
#include "tree.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

namespace smol {
namespace {

PyObject* item(PyObject* tuple, Py_ssize_t i) {
    if (!PyTuple_Check(tuple) || i >= PyTuple_GET_SIZE(tuple)) throw std::invalid_argument("malformed rules");
    return PyTuple_GET_ITEM(tuple, i);
}

uint32_t number(PyObject* object) {
    const unsigned long value = PyLong_AsUnsignedLong(object);
    if (PyErr_Occurred()) throw PythonError();
    return value > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(value);
}

// The node types by their first letters; a sequence is a tuple of nodes.
class TreeBuilder {
  public:
    explicit TreeBuilder(const CharTable& chars) : pattern_(std::make_unique<Pattern>(chars)) {}

    std::unique_ptr<Pattern> build(PyObject* tree) {
        pattern_->finish(sequence(tree, pattern_->terminal(Op::kMatched)));
        return std::move(pattern_);
    }

  private:
    int sequence(PyObject* nodes, int next) {
        if (!PyTuple_Check(nodes)) throw std::invalid_argument("malformed pattern");
        for (Py_ssize_t i = PyTuple_GET_SIZE(nodes); i-- > 0;) next = node(item(nodes, i), next);
        return next;
    }

    int set(PyObject* tuple) {  // ("set", negate, ((low, high), ...), categories, negated categories)
        // One node object may stand in many places (see filters/spacy_rules.py); a set is 8 KB.
        auto [known, is_new] = sets_.try_emplace(tuple, 0);
        if (!is_new) return known->second;
        CharSet out;
        out.negate = number(item(tuple, 1)) != 0;
        PyObject* ranges = item(tuple, 2);
        if (!PyTuple_Check(ranges)) throw std::invalid_argument("malformed set");
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(ranges); ++i)
            out.ranges.emplace_back(number(item(item(ranges, i), 0)), number(item(item(ranges, i), 1)));
        out.categories = static_cast<uint8_t>(number(item(tuple, 3)));
        out.not_categories = static_cast<uint8_t>(number(item(tuple, 4)));
        return known->second = pattern_->add_set(std::move(out));
    }

    int node(PyObject* tuple, int next) {
        const std::string kind = to_utf8(item(tuple, 0));
        Node out;
        out.next = next;
        if (kind == "literal") {
            out.op = Op::kLiteral;
            out.literal = number(item(tuple, 1));
        } else if (kind == "set") {
            out.op = Op::kSet;
            out.set = set(tuple);
        } else if (kind == "any") {
            out.op = Op::kAny;
        } else if (kind == "begin") {
            out.op = Op::kAtBeginning;
        } else if (kind == "end") {
            out.op = Op::kAtEnd;
        } else if (kind == "branch") {  // ("branch", (sequence, ...))
            out.op = Op::kBranch;
            PyObject* alternatives = item(tuple, 1);
            if (!PyTuple_Check(alternatives)) throw std::invalid_argument("malformed branch");
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(alternatives); ++i)
                out.alternatives.push_back(sequence(item(alternatives, i), next));
        } else if (kind == "group") {  // ("group", sequence)
            return sequence(item(tuple, 1), next);
        } else if (kind == "look") {  // ("look", negate, characters to step back or None, sequence)
            out.op = Op::kLook;
            out.negate = number(item(tuple, 1)) != 0;
            PyObject* behind = item(tuple, 2);
            out.behind = behind == Py_None ? -1 : static_cast<int>(number(behind));
            out.body = sequence(item(tuple, 3), pattern_->terminal(Op::kAccept));
        } else if (kind == "repeat") {  // ("repeat", min, max, sequence); sets apart
            out.min = number(item(tuple, 1));
            out.max = number(item(tuple, 2));
            PyObject* body = item(tuple, 3);
            PyObject* only = PyTuple_Check(body) && PyTuple_GET_SIZE(body) == 1 ? item(body, 0) : nullptr;
            if (only && to_utf8(item(only, 0)) == "set") {
                out.op = Op::kRepeatSet;
                out.set = set(only);
            } else {
                out.op = Op::kRepeatGroup;
                const int repeat = pattern_->add(out);
                const int loop_end = pattern_->terminal(Op::kLoopEnd);
                pattern_->node(loop_end).body = repeat;
                const int first = sequence(body, loop_end);  // may move the nodes, so looked up again
                pattern_->node(repeat).body = first;
                return repeat;
            }
        } else {
            throw std::invalid_argument("unknown node " + kind);
        }
        return pattern_->add(std::move(out));
    }

    std::unique_ptr<Pattern> pattern_;
    std::unordered_map<PyObject*, int> sets_;  // the tree outlives the builder
};

std::unique_ptr<Pattern> build_pattern(const CharTable& chars, PyObject* tree) {
    return tree == Py_None ? nullptr : TreeBuilder(chars).build(tree);
}

}  // namespace

std::string to_utf8(PyObject* string) {
    Py_ssize_t bytes;
    const char* utf8 = PyUnicode_AsUTF8AndSize(string, &bytes);
    if (!utf8) throw PythonError();
    return {utf8, static_cast<size_t>(bytes)};
}

std::u32string to_u32(PyObject* string) { return decode(to_utf8(string)); }

std::vector<uint32_t> to_numbers(PyObject* tuple) {
    std::vector<uint32_t> out;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) out.push_back(number(PyTuple_GET_ITEM(tuple, i)));
    return out;
}

std::unique_ptr<Rules> build_rules(const CharTable& chars, PyObject* patterns, PyObject* specials,
                                   PyObject* sequences) {
    auto rules = std::make_unique<Rules>();
    rules->prefix = build_pattern(chars, item(patterns, 0));
    rules->suffix = build_pattern(chars, item(patterns, 1));
    rules->infix = build_pattern(chars, item(patterns, 2));
    rules->token_match = build_pattern(chars, item(patterns, 3));
    rules->url_match = build_pattern(chars, item(patterns, 4));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(specials); ++i) {
        PyObject* special = PyList_GET_ITEM(specials, i);
        const std::u32string_view text = rules->keep(to_u32(item(special, 0)));
        if (!PyTuple_Check(item(special, 1))) throw std::invalid_argument("malformed special case");
        rules->specials[text] = to_numbers(item(special, 1));
        if (text.empty()) throw std::invalid_argument("an empty special case");
        rules->special_texts.add(text);
    }
    auto numbered = [&rules](PyObject* token) -> uint16_t {
        std::u32string text = to_u32(token);
        if (text.empty()) throw std::invalid_argument("an empty token");
        rules->token_texts.add(text);
        auto found = rules->pattern_tokens.find(text);
        if (found != rules->pattern_tokens.end()) return found->second;
        if (rules->pattern_tokens.size() >= UINT16_MAX) throw std::length_error("too many special cases");
        const auto next = static_cast<uint16_t>(rules->pattern_tokens.size() + 1);
        rules->pattern_tokens[rules->keep(std::move(text))] = next;
        return next;
    };
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sequences); ++i) {
        PyObject* sequence = PyList_GET_ITEM(sequences, i);
        const bool spaced = PyObject_IsTrue(item(sequence, 0)) == 1;
        PyObject* tokens = item(sequence, 1);
        if (!PyTuple_Check(tokens)) throw std::invalid_argument("malformed sequence");
        const Py_ssize_t count = PyTuple_GET_SIZE(tokens);
        uint16_t previous = 0;
        auto& numbers = rules->sequences.emplace_back();
        rules->longest_sequence = std::max(rules->longest_sequence, static_cast<size_t>(count));
        for (Py_ssize_t j = 0; j < count; ++j) {
            const uint16_t token = numbered(item(tokens, j));
            numbers.push_back(token);
            if (j == 0) rules->by_first[token].push_back(static_cast<uint32_t>(rules->sequences.size() - 1));
            if (count == 1) rules->singles.insert(token);
            if (j > 0) rules->pairs.insert(uint32_t{previous} << 16 | token);
            if (j > 0 && spaced) rules->spaced_pairs.insert(uint32_t{previous} << 16 | token);
            previous = token;
        }
    }
    return rules;
}

std::unique_ptr<CrfModel> build_crf(const CharTable& chars, PyObject* weights, int inside, PyObject* pairs,
                                    PyObject* triples, PyObject* known, PyObject* syllables) {
    auto model = std::make_unique<CrfModel>();
    Pair* shared[] = {&model->previous_title, &model->previous_upper, &model->previous_bigram,
                      &model->previous_trigram, &model->next_title, &model->next_upper, &model->next_bigram,
                      &model->next_trigram, &model->transition[0], &model->transition[1], &model->bias,
                      &model->is_upper, &model->is_title, &model->is_digit};
    Py_ssize_t i = 0;
    for (Pair* pair : shared)
        for (double& value : pair->of) {
            value = PyFloat_AsDouble(item(weights, i++));
            if (PyErr_Occurred()) throw PythonError();
        }
    model->inside = inside;
    auto small = [](PyObject* object) {
        const uint32_t value = number(object);
        if (value >= 1u << 21) throw std::length_error("too large a dictionary");
        return value;
    };
    for (i = 0; i < PyList_GET_SIZE(pairs); ++i) {
        PyObject* pair = PyList_GET_ITEM(pairs, i);
        model->pairs.add(CrfModel::pair(small(item(pair, 0)), small(item(pair, 1))) | (number(item(pair, 2)) & 3));
    }
    for (i = 0; i < PyList_GET_SIZE(triples); ++i) {
        PyObject* triple = PyList_GET_ITEM(triples, i);
        model->triples.add(
            CrfModel::triple(small(item(triple, 0)), small(item(triple, 1)), small(item(triple, 2))));
    }
    for (i = 0; i < PyList_GET_SIZE(known); ++i) {
        PyObject* row = PyList_GET_ITEM(known, i);
        Known& word = model->known[to_utf8(item(row, 0))];
        word.number = small(item(row, 1));
        Py_ssize_t place = 2;
        for (Pair* pair : {&word.own, &word.as_previous, &word.as_next})
            for (double& value : pair->of) {
                value = PyFloat_AsDouble(item(row, place++));
                if (PyErr_Occurred()) throw PythonError();
            }
    }
    for (uint32_t c = 0; c <= kMaxChar; ++c) {
        if (Py_UNICODE_TOLOWER(c) == c) continue;
        while (model->lower.size() <= c) model->lower.push_back(static_cast<uint32_t>(model->lower.size()));
        model->lower[c] = Py_UNICODE_TOLOWER(c);
    }
    model->syllables = build_pattern(chars, syllables);
    if (!model->syllables) throw std::invalid_argument("no pattern for syllables");
    return model;
}

}  // namespace smol
