"""What the program itself says to a model, in English and Chinese."""

import agent.core.wording_distilling as distilling
import agent.core.wording_evals as evals
import agent.core.wording_learning as learning
import agent.core.wording_limits as limits
import agent.core.wording_long_runs as long_runs
import agent.core.wording_memory as memory
import agent.core.wording_skills as skills

_EN = {
    "go_on": "The limit was raised. Go on with the task.",
    "interrupted": "[interrupted: this call has no result; it is not known whether it took effect]",
    "unknown_tool": "There is no tool {name!r}. Tools you can call: {offered}.",
    "not_offered": "The tool {name!r} is not offered here. Tools you can call: {offered}.",
    "no_tools": "No tools are offered here; answer in text.",
    "bad_arguments": "The arguments of {name!r} cannot be used: {problem}",
    "tool_error": "The tool failed: {error}",
    "tool_timeout": "The tool took longer than {seconds:g} s and was stopped.",
    "cancelled": "The call was cancelled.",
    "state_conflict": "The call changed nothing: in {attempts} attempts others changed the same state first. Try again later.",
    "cut": "\n[{left} more characters are not shown]",
    "agent_depth": "{name!r} cannot be asked from here: agents may call agents only {depth} deep. Do it yourself, or say what is missing.",
    "subrun_limit": "[The agent reached its limit ({limit}) before it was done. What it had:]\n{text}",
    "subrun_failed": "The agent failed: {error}",
    "subrun_cancelled": "The agent was cancelled.",
    "subrun_unknown": " It is not known whether these calls of it took effect: {calls}.",
    "rejected": "A person refused this call{reason}. Do not ask for it again; find another way or say what is missing.",
    "rejected_again": "A person has refused exactly this call already; it was not asked about again. Find another way or say what is missing.",
    "denied": "This call is refused and no person can let it run ({reason}). Do not ask for it again; find another way or say what is missing.",
    "expired_again": "Nobody decided about exactly this call in time before; it was not asked about again. Find another way or say what is missing.",
    "expired": "Nobody decided about this call in time; it did not run. Do not ask for it again by yourself.",
    "responded": "A person answered instead of the tool: {text}",
    "edited": "[A person changed the arguments before it ran: {arguments}]\n{result}",
    "not_done": "This call did not take effect{result}.",
    "done": "This call took effect{result}.",
    "final": "You have reached the limit of this run. Answer now with what you have; no tools are available any more.",
}  # fmt: skip
_ZH = {
    "go_on": "限制已提高,请继续完成任务。",
    "interrupted": "[已中断:此调用没有结果,不知道它是否已生效]",
    "unknown_tool": "没有名为 {name!r} 的工具。可用的工具:{offered}。",
    "not_offered": "此处不提供工具 {name!r}。可用的工具:{offered}。",
    "no_tools": "此处不提供工具,请直接用文字回答。",
    "bad_arguments": "{name!r} 的参数无法使用:{problem}",
    "tool_error": "工具执行失败:{error}",
    "tool_timeout": "工具运行超过 {seconds:g} 秒,已停止。",
    "cancelled": "此调用已取消。",
    "state_conflict": "此调用没有改变任何内容:尝试了 {attempts} 次,每次都有别人先修改了同一状态。请稍后再试。",
    "cut": "\n[还有 {left} 个字符未显示]",
    "agent_depth": "此处不能调用 {name!r}:代理之间最多只能嵌套调用 {depth} 层。请自行完成,或说明还缺什么。",
    "subrun_limit": "[该代理在完成之前达到了限制({limit})。已有内容:]\n{text}",
    "subrun_failed": "该代理失败:{error}",
    "subrun_cancelled": "该代理已取消。",
    "subrun_unknown": "不知道它的以下调用是否已生效:{calls}。",
    "rejected": "有人拒绝了此调用{reason}。请不要再次请求;请换一种方法,或说明还缺什么。",
    "rejected_again": "有人已拒绝过完全相同的调用,因此没有再次询问。请换一种方法,或说明还缺什么。",
    "denied": "此调用被拒绝,任何人都无法放行({reason})。请不要再次请求;请换一种方法,或说明还缺什么。",
    "expired_again": "完全相同的调用此前无人及时批准,因此没有再次询问。请换一种方法,或说明还缺什么。",
    "expired": "无人及时批准此调用,它没有执行。请不要自行再次请求。",
    "responded": "有人代替工具作了回答:{text}",
    "edited": "[执行前有人修改了参数:{arguments}]\n{result}",
    "not_done": "此调用没有生效{result}。",
    "done": "此调用已生效{result}。",
    "final": "本次运行已达到限制。请根据已有内容立即作答;工具已不可用。",
}  # fmt: skip
LANGUAGES = {
    "en": {**_EN, **long_runs.EN, **limits.EN, **memory.EN, **evals.EN, **learning.EN, **skills.EN, **distilling.EN},
    "zh": {**_ZH, **long_runs.ZH, **limits.ZH, **memory.ZH, **evals.ZH, **learning.ZH, **skills.ZH, **distilling.ZH},
}


def wording(key: str, language: str = "en", **values: object) -> str:
    """Return the sentence `key` in a language (an unknown one: English) with `values` put in."""
    text = LANGUAGES.get(language, LANGUAGES["en"])[key]
    return text.format(**values) if values else text
