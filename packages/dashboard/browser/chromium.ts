/** A headless Chromium of the system. */
import { type Browser, chromium } from "playwright-core"
import { findChromium } from "./find.ts"

/** Its sandbox needs rights that a container does not give; it opens nothing but our own page on loopback. */
export const launch = (): Promise<Browser> =>
  chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox", "--disable-dev-shm-usage"] })
