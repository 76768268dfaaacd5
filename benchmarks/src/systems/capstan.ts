import { JobStore } from "capstan"
import { makeOn } from "../capstan.ts"
import { featuresOn } from "../features.ts"

const layerOf = () => JobStore.layerMemory()

export const make = makeOn(layerOf)
export const features = featuresOn(layerOf)
