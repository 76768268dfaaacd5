import { JobStoreSuite } from "@capstan/testing"
import { JobStore } from "capstan"

JobStoreSuite.suite("memory", JobStore.layerMemory())
