package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// runLua runs a script as Argo CD does without useOpenLibs: gopher-lua (Lua 5.1) with the libraries base, package and table, no
// string, math, io or os, one second, and the object as the global `obj`. Gives back the last value that the script returns.
func runLua(script string, obj map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, obj))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	if state.GetTop() == 0 {
		return nil, errors.New("the script returned nothing")
	}
	return fromLua(state.Get(-1))
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		table := state.CreateTable(len(v), 0)
		for _, item := range v {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(v))
		for key, item := range v {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// fromLua makes JSON values of a result. An empty table is an empty list, as in Argo CD.
func fromLua(value lua.LValue) (any, error) {
	switch v := value.(type) {
	case lua.LBool:
		return bool(v), nil
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		if n := int64(v); lua.LNumber(n) == v {
			return n, nil
		}
		return float64(v), nil
	case *lua.LTable:
		return fromTable(v)
	case *lua.LNilType:
		return nil, nil
	default:
		return nil, fmt.Errorf("the script returned a %s", value.Type())
	}
}

func fromTable(table *lua.LTable) (any, error) {
	list, object := []any{}, map[string]any{}
	var failed error
	table.ForEach(func(key, value lua.LValue) {
		item, err := fromLua(value)
		failed = errors.Join(failed, err)
		switch key := key.(type) {
		case lua.LString:
			object[string(key)] = item
		case lua.LNumber:
			list = append(list, item)
		default:
			failed = errors.Join(failed, fmt.Errorf("a key of the result is a %s", key.Type()))
		}
	})
	if len(object) > 0 && len(list) > 0 {
		failed = errors.Join(failed, errors.New("a table of the result is both a list and a map"))
	}
	if len(object) > 0 {
		return object, failed
	}
	return list, failed
}

// restored puts back the empty maps of `before` that came out of Lua as empty lists, as Argo CD does before it patches.
func restored(after, before any) any {
	switch a := after.(type) {
	case map[string]any:
		b, _ := before.(map[string]any)
		for key, value := range a {
			a[key] = restored(value, b[key])
		}
	case []any:
		if b, isMap := before.(map[string]any); isMap && len(a) == 0 {
			return b
		}
		b, _ := before.([]any)
		for i := range a {
			if i < len(b) {
				a[i] = restored(a[i], b[i])
			}
		}
	}
	return after
}
