"""What the program says to a model of limits."""

EN = {
    "repeated": "This call was not run again: the same call has had the same result several times in a row. Use that result, try something else, or answer.",
    "limit": "This call was not run: the limit of this run, {name} = {value}, is reached.",
    "limit_stopped": "This call was stopped: the limit of this run, {name} = {value}, is reached.",
}
ZH = {
    "repeated": "此调用没有再次执行:相同的调用已连续多次得到相同的结果。请使用该结果,换一种做法,或直接作答。",
    "limit": "此调用没有执行:本次运行已达到限制 {name} = {value}。",
    "limit_stopped": "此调用已停止:本次运行已达到限制 {name} = {value}。",
}
