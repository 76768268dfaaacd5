import { urlOf } from "../api.ts"
import { live } from "../live.ts"
import { useMe } from "../queries.ts"
import { payloads, type Theme, theme } from "../store.ts"
import { Chip, Heading, Panel } from "../ui/parts.tsx"

export const Settings = () => {
  const chosen = theme.use()
  const isHidden = payloads.useHidden()
  const mode = live.useMode()
  const { data: me } = useMe()
  return (
    <>
      <Heading title="Settings">Kept in this browser.</Heading>
      <div className="flex max-w-2xl flex-col gap-4 px-4 pb-8 md:px-6">
        <Panel title="This screen" id="screen">
          <div className="grid grid-cols-[auto_1fr] items-center gap-x-6 gap-y-3 px-3 py-3">
            <label htmlFor="theme" className="text-soft">Colours</label>
            <select
              id="theme"
              className="field w-60"
              value={chosen}
              onChange={(event) => theme.set(event.target.value as Theme)}
            >
              <option value="system">as the system has them</option>
              <option value="light">light</option>
              <option value="dark">dark</option>
            </select>
            <label htmlFor="payloads" className="text-soft">Payloads</label>
            <span className="flex items-center gap-2">
              <input
                id="payloads"
                type="checkbox"
                checked={isHidden}
                onChange={(event) => payloads.setHidden(event.target.checked)}
              />
              hide them, as for a shared screen
            </span>
            <span className="text-soft">Time zone</span>
            <span>{Intl.DateTimeFormat().resolvedOptions().timeZone}, of this browser</span>
            <span className="text-soft">What happens</span>
            <span className="flex items-center gap-3">
              {mode === "live"
                ? "is told by the event stream"
                : mode === "paused"
                ? "is not shown"
                : "is asked for: there is no event stream"}
              <button type="button" className="btn" onClick={mode === "paused" ? live.resume : live.pause}>
                {mode === "paused" ? "Go on" : "Pause"}
              </button>
            </span>
          </div>
        </Panel>
        <Panel title="You" id="you">
          <div className="px-3 py-3">
            {me === undefined ? <span className="text-faint">–</span> : (
              <>
                <p className="font-medium">
                  <bdi>{me.name}</bdi>
                </p>
                <p className="label mt-2 mb-1">May on every queue</p>
                <p className="flex flex-wrap gap-1">
                  {me.everywhere.length === 0
                    ? "nothing"
                    : me.everywhere.map((action) => <Chip key={action}>{action}</Chip>)}
                </p>
                {Object.entries(me.queues).map(([queue, actions]) => (
                  <div key={queue}>
                    <p className="label mt-2 mb-1">
                      May on <bdi>{queue}</bdi>
                    </p>
                    <p className="flex flex-wrap gap-1">
                      {actions.map((action) => <Chip key={action}>{action}</Chip>)}
                    </p>
                  </div>
                ))}
              </>
            )}
          </div>
        </Panel>
        <Panel title="The API" id="api">
          <p className="px-3 py-3 text-soft">
            All that this page does, scripts may do too:{" "}
            <a className="link" href={urlOf("openapi.json")}>its description</a> and{" "}
            <a className="link" href={urlOf("metrics")}>metrics for Prometheus</a>.
          </p>
        </Panel>
      </div>
    </>
  )
}
