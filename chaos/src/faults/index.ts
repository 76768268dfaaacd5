import type { Fault } from "../fault.ts"
import { crash } from "./crash.ts"
import { cut } from "./cut.ts"
import { freeze } from "./freeze.ts"
import { fullMemory } from "./full.ts"
import { keyed } from "./keys.ts"
import { kill } from "./kill.ts"
import { lostReplies } from "./lostReplies.ts"
import { pause } from "./pause.ts"
import { poison } from "./poison.ts"
import { terminate } from "./terminate.ts"

export const faults: ReadonlyArray<Fault> = [
  kill,
  crash,
  cut,
  freeze,
  poison,
  keyed,
  terminate,
  lostReplies,
  pause,
  fullMemory
]
