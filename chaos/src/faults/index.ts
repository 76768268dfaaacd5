import type { Fault } from "../fault.ts"
import type { Store } from "../store.ts"
import { before } from "./before.ts"
import { chain } from "./chain.ts"
import { clocks } from "./clocks.ts"
import { crash } from "./crash.ts"
import { cut } from "./cut.ts"
import { dropped } from "./dropped.ts"
import { flows } from "./flows.ts"
import { freeze } from "./freeze.ts"
import { fullServer } from "./full.ts"
import { hanging } from "./hanging.ts"
import { heldOpen } from "./heldOpen.ts"
import { keyed } from "./keys.ts"
import { kill } from "./kill.ts"
import { killAll } from "./killAll.ts"
import { lostReplies } from "./lostReplies.ts"
import { neighbours } from "./neighbours.ts"
import { pause } from "./pause.ts"
import { poison } from "./poison.ts"
import { soak } from "./soak.ts"
import { standby } from "./standby.ts"
import { terminate } from "./terminate.ts"
import { ticker } from "./ticker.ts"
import { transfers } from "./transfers.ts"

export const faults: ReadonlyArray<Fault> = [
  kill,
  killAll,
  crash,
  cut,
  dropped,
  freeze,
  clocks,
  poison,
  neighbours,
  hanging,
  keyed,
  chain,
  ticker,
  flows,
  heldOpen,
  terminate,
  transfers,
  lostReplies,
  fullServer,
  before,
  soak,
  pause,
  standby
]

/** Those that can strike on it. */
export const faultsOf = ({ abilities, special }: Pick<Store, "abilities" | "special">): ReadonlyArray<Fault> =>
  faults.filter((fault) =>
    (fault.needs === undefined || abilities.includes(fault.needs)) &&
    (fault.special === undefined || special.includes(fault.special))
  )

/** Those of a quick run, which is what a continuous integration has time for. */
export const isQuick = ({ isLong = false }: Pick<Fault, "isLong">, store: string): boolean =>
  isLong === false || isLong !== true && !isLong.includes(store)
