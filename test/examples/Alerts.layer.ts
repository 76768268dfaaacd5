// Written by `npm run docs`: the example of `layer` of @capstan/alerts/Alerts.
import { AlertChannel, AlertRule, Alerts } from "@capstan/alerts"
import { routingKey, url } from "./setting.ts"

export const run = () => {
  const AlertsLive = Alerts.layer({
    channels: {
      oncall: AlertChannel.pagerDuty({ routingKey }),
      team: AlertChannel.slack({ url })
    },
    rules: [...AlertRule.usual, AlertRule.failureRate({ above: 0.2 })]
  })
}
