using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "suite", worker = (
      modules = [(name = "worker", esModule = embed "worker.mjs"), (name = "suite.mjs", esModule = embed "suite.mjs")],
      compatibilityDate = "DATE",
      bindings = [(name = "HARNESS", text = "BASE")],
    )),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
);
