// What every type of the module needs: a C++ value inside a Python object, exceptions turned into Python's, the
// interpreter lock released around work on bytes.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "tree.hpp"

namespace smol::python {

class Released {
  public:
    Released() : state_(PyEval_SaveThread()) {}
    ~Released() { PyEval_RestoreThread(state_); }
    Released(const Released&) = delete;

  private:
    PyThreadState* state_;
};

// Runs `body`, turning C++ exceptions into Python's.
template <class Result, class Body>
Result guarded(Result on_error, Body body) {
    try {
        return body();
    } catch (const smol::PythonError&) {
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    }
    return on_error;
}

template <class T>
struct Box {
    PyObject_HEAD
    T* value;
};

template <class T>
T& unbox(PyObject* self) {
    T* value = reinterpret_cast<Box<T>*>(self)->value;
    if (!value) throw std::runtime_error("not initialised");
    return *value;
}

template <class T>
PyObject* new_box(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self) reinterpret_cast<Box<T>*>(self)->value = nullptr;
    return self;
}

template <class T>
void delete_box(PyObject* self) {
    delete reinterpret_cast<Box<T>*>(self)->value;
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// The value of an argument, which can be of any type.
template <class T>
T& argument(PyObject* object) {
    if (Py_TYPE(object)->tp_dealloc != delete_box<T>) throw std::invalid_argument("an argument of another type");
    return unbox<T>(object);
}

// The value of `self`, in place of the one it has.
template <class T>
void put(PyObject* self, std::unique_ptr<T> value) {
    T*& held = reinterpret_cast<Box<T>*>(self)->value;
    delete held;
    held = value.release();
}

// Adds a type to the module under `name`; -1 with a Python exception where that fails.
inline int add_type(PyObject* module, const char* name, PyType_Spec* spec) {
    PyObject* type = PyType_FromSpec(spec);
    if (type && PyModule_AddObject(module, name, type) == 0) return 0;
    Py_XDECREF(type);
    return -1;
}

// One per file of bindings.
int add_words(PyObject* module);
int add_gopher(PyObject* module);
int add_json(PyObject* module);
int add_language(PyObject* module);
int add_loop(PyObject* module);
int add_minhash(PyObject* module);
int add_spam(PyObject* module);

}  // namespace smol::python
