import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { draining } from "./draining.ts"
import { facts } from "./facts.ts"

facts("the API on the memory store", JobStore.layerMemory())

draining(
  "a drain on the memory store",
  Effect.map(Layer.build(JobStore.layerMemory()), (context) => {
    const store = Layer.succeedContext(context)
    return [store, store]
  })
)
