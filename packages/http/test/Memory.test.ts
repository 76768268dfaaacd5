import { JobStore } from "capstan"
import { facts } from "./facts.ts"

facts("the API on the memory store", JobStore.layerMemory())
