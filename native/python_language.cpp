// Python's LanguageModel: labels and scores as fastText's predict(text, k=-1) gives them, or None to ask fastText.
#include "language.hpp"
#include "python.hpp"

namespace smol::python {
namespace {

struct HeldModel {
    Py_buffer file{};  // the model's bytes; what the model points into
    std::unique_ptr<smol::language::Model> model;
    HeldModel() = default;
    HeldModel(const HeldModel&) = delete;
    ~HeldModel() {
        model.reset();
        if (file.obj) PyBuffer_Release(&file);
    }
};

std::string_view utf8_of(PyObject* text) {
    Py_ssize_t size;
    if (!PyUnicode_Check(text)) throw std::invalid_argument("a text must be a str");
    const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (!utf8) throw PythonError();
    return {utf8, static_cast<size_t>(size)};
}

int model_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        auto held = std::make_unique<HeldModel>();
        PyObject* file;
        Py_ssize_t memo_bytes;
        if (!PyArg_ParseTuple(args, "On", &file, &memo_bytes)) return -1;
        if (memo_bytes < 0 || memo_bytes > Py_ssize_t{1} << 32) throw std::invalid_argument("a memory of 0 to 4 GB");
        if (PyObject_GetBuffer(file, &held->file, PyBUF_SIMPLE) < 0) return -1;
        {
            const Released released;
            held->model = std::make_unique<smol::language::Model>(static_cast<const char*>(held->file.buf),
                                                                  static_cast<size_t>(held->file.len),
                                                                  static_cast<size_t>(memo_bytes));
        }
        put(self, std::move(held));
        return 0;
    });
}

PyObject* model_labels(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject* list = PyList_New(0);
        for (const std::string_view label : unbox<HeldModel>(self).model->labels()) {
            PyObject* item = PyUnicode_DecodeUTF8(label.data(), static_cast<Py_ssize_t>(label.size()), nullptr);
            if (!list || !item || PyList_Append(list, item) < 0) {
                Py_XDECREF(item);
                Py_XDECREF(list);
                return nullptr;
            }
            Py_DECREF(item);
        }
        return list;
    });
}

PyObject* model_loss(PyObject* self, PyObject*) {
    return guarded<PyObject*>(
        nullptr, [&] { return PyLong_FromLong(static_cast<long>(unbox<HeldModel>(self).model->loss())); });
}

PyObject* model_best(PyObject* self, PyObject* text) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& model = *unbox<HeldModel>(self).model;
        const std::string_view utf8 = utf8_of(text);
        uint32_t label;
        float score;
        bool found;
        {
            const Released released;
            found = model.best(utf8, label, score);
        }
        if (!found) Py_RETURN_NONE;
        return Py_BuildValue("Id", label, static_cast<double>(score));
    });
}

PyObject* model_scores(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *text, *wanted;
        if (!PyArg_ParseTuple(args, "UO!", &text, &PyTuple_Type, &wanted)) return nullptr;
        auto& model = *unbox<HeldModel>(self).model;
        const std::string_view utf8 = utf8_of(text);
        const std::vector<uint32_t> labels = smol::to_numbers(wanted);
        std::vector<float> scores;
        bool found;
        {
            const Released released;
            found = model.scores(utf8, labels, scores);
        }
        if (!found) Py_RETURN_NONE;
        PyObject* list = PyList_New(static_cast<Py_ssize_t>(scores.size()));
        for (size_t i = 0; list && i < scores.size(); ++i) {
            PyObject* item = PyFloat_FromDouble(static_cast<double>(scores[i]));
            if (!item) {
                Py_DECREF(list);
                return nullptr;
            }
            PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
        }
        return list;
    });
}

PyObject* model_forget(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& model = *unbox<HeldModel>(self).model;
        const std::lock_guard<std::mutex> lock(model.mutex());
        model.memo().clear();
        Py_RETURN_NONE;
    });
}

PyObject* model_memo(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& model = *unbox<HeldModel>(self).model;
        const std::lock_guard<std::mutex> lock(model.mutex());
        return Py_BuildValue("nn", static_cast<Py_ssize_t>(model.memo().count()),
                             static_cast<Py_ssize_t>(model.memo().bytes()));
    });
}

PyMethodDef model_methods[] = {
    {"labels", model_labels, METH_NOARGS, "The labels in the model's order."},
    {"loss", model_loss, METH_NOARGS, "fastText's number of the loss: 1 hs, 2 ns, 3 softmax, 4 ova."},
    {"best", model_best, METH_O, "best(text) -> (number of the label, score) | None for fastText"},
    {"scores", model_scores, METH_VARARGS, "scores(text, (numbers of labels)) -> [scores] | None for fastText"},
    {"forget", model_forget, METH_NOARGS, "Empties the memory."},
    {"memo", model_memo, METH_NOARGS, "(words, bytes) in memory"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot model_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<HeldModel>)},
    {Py_tp_init, reinterpret_cast<void*>(model_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<HeldModel>)},
    {Py_tp_methods, model_methods},
    {Py_tp_doc, const_cast<char*>("LanguageModel(bytes of a fastText model, memo_bytes)")},
    {0, nullptr},
};
PyType_Spec model_spec = {"filters._native.LanguageModel", sizeof(Box<HeldModel>), 0, Py_TPFLAGS_DEFAULT, model_slots};

}  // namespace

int add_language(PyObject* module) { return add_type(module, "LanguageModel", &model_spec); }

}  // namespace smol::python
