// Written by `npm run docs`: the example of @capstan/testing/JobStoreSuite.
import { JobStoreSuite } from "@capstan/testing"
import { JobStore } from "capstan"

export const run = () => {
  JobStoreSuite.suite("memory", JobStore.layerMemory())
}
